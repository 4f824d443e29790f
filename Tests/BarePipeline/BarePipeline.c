#include "BarePipeline.h"

#include <fcntl.h>
#include <mosquitto.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum { tag_size = 16, out_size = 65536 };

struct pipeline {
    const unsigned char *key;
    const char *filter, *progress, *failure;
    int parts, taken, file, finished;
    EVP_CIPHER_CTX *cipher;
    EVP_MD_CTX *hash;
    ZSTD_DCtx *inflation;
    unsigned char *plain, *out;
    size_t room;
};

static void make_nonce(unsigned char nonce[12], int number)
{
    memset(nonce, 0, 12);
    for (int byte = 0; byte < 4; byte++) nonce[11 - byte] = (unsigned char)((unsigned)number >> (8 * byte));
}

int trunkline_bare_seal(
    const unsigned char key[32], int number, const unsigned char *part, size_t count, unsigned char *sealed)
{
    unsigned char nonce[12];
    make_nonce(nonce, number);
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int length = 0;
    int well = cipher && EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, nonce)
        && EVP_EncryptUpdate(cipher, sealed, &length, part, (int)count)
        && EVP_EncryptFinal_ex(cipher, sealed + length, &length)
        && EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, tag_size, sealed + count);
    EVP_CIPHER_CTX_free(cipher);
    return well;
}

static const char *write_all(int file, const unsigned char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t written = write(file, bytes, count);
        if (written <= 0) return "it cannot be written";
        bytes += written;
        count -= (size_t)written;
    }
    return NULL;
}

static const char *take(struct pipeline *own, int number, unsigned char *sealed, size_t count)
{
    unsigned char nonce[12];
    int length = 0, rest = 0;
    if (count < tag_size || count - tag_size > own->room) return "a part has a wrong size";
    make_nonce(nonce, number);
    if (!EVP_DecryptInit_ex(own->cipher, EVP_aes_256_gcm(), NULL, own->key, nonce)
        || !EVP_DecryptUpdate(own->cipher, own->plain, &length, sealed, (int)(count - tag_size))
        || !EVP_CIPHER_CTX_ctrl(own->cipher, EVP_CTRL_GCM_SET_TAG, tag_size, sealed + count - tag_size)
        || EVP_DecryptFinal_ex(own->cipher, own->plain + length, &rest) <= 0)
        return "a part cannot be opened";
    if (!EVP_DigestUpdate(own->hash, own->plain, (size_t)length)) return "it cannot be hashed";
    ZSTD_inBuffer input = {.src = own->plain, .size = (size_t)length};
    ZSTD_outBuffer output = {.dst = own->out, .size = out_size};
    do {
        output.pos = 0;
        if (ZSTD_isError(ZSTD_decompressStream(own->inflation, &output, &input))) return "it is not zstd";
        const char *failure = write_all(own->file, own->out, output.pos);
        if (failure) return failure;
    } while (output.pos == output.size || input.pos < input.size);
    return NULL;
}

static void arrived(struct mosquitto *client, void *context, const struct mosquitto_message *message)
{
    struct pipeline *own = context;
    const char *slash = strrchr(message->topic, '/');
    if (own->failure || !slash || atoi(slash + 1) != own->taken) {
        own->failure = own->failure ? own->failure : "a part came out of order";
        own->finished = 1;
        return;
    }
    own->failure = take(own, own->taken, message->payload, (size_t)message->payloadlen);
    own->taken += 1;
    own->finished = own->failure || own->taken == own->parts;
    if (own->taken % 16 == 0 || own->finished) {
        char text[16];
        int length = snprintf(text, sizeof text, "%d", own->taken);
        mosquitto_publish(client, NULL, own->progress, length, text, 0, false);
    }
}

static void subscribed(struct mosquitto *client, void *context, int id, int count, const int *granted)
{
    (void)client, (void)context, (void)id, (void)count, (void)granted;
    puts("ready");
    fflush(stdout);
}

static void connected(struct mosquitto *client, void *context, int result)
{
    (void)result;
    mosquitto_subscribe(client, NULL, ((struct pipeline *)context)->filter, 1);
}

static const char *end(struct pipeline *own, const char *digest)
{
    unsigned char found[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    char text[2 * EVP_MAX_MD_SIZE + 1] = "";
    if (own->failure) return own->failure;
    if (!EVP_DigestFinal_ex(own->hash, found, &length)) return "it cannot be hashed";
    for (unsigned int index = 0; index < length; index++) snprintf(text + 2 * index, 3, "%02x", found[index]);
    if (strcmp(text, digest) != 0) return "it has another SHA-256";
    return fsync(own->file) == 0 ? NULL : "it cannot be brought to the disk";
}

const char *trunkline_bare_pipeline(
    int port, const char *filter, const char *progress, const unsigned char key[32], int parts, const char *digest,
    const char *file)
{
    struct pipeline own = {.key = key, .filter = filter, .progress = progress, .parts = parts, .room = 1 << 20};
    char name[64];
    snprintf(name, sizeof name, "bare-pipeline-%d", (int)getpid());
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new(name, true, &own);
    own.file = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    own.cipher = EVP_CIPHER_CTX_new();
    own.hash = EVP_MD_CTX_new();
    own.plain = malloc(own.room);
    own.out = malloc(out_size);
    own.inflation = ZSTD_createDCtx();
    if (!client || own.file < 0 || !own.cipher || !own.hash || !own.plain || !own.out
        || !own.inflation || !EVP_DigestInit_ex(own.hash, EVP_sha256(), NULL))
        return "there is no room";
    mosquitto_connect_callback_set(client, connected);
    mosquitto_subscribe_callback_set(client, subscribed);
    mosquitto_message_callback_set(client, arrived);
    mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
    if (mosquitto_connect(client, "127.0.0.1", port, 60) != MOSQ_ERR_SUCCESS) return "there is no broker";
    while (!own.finished) {
        if (mosquitto_loop(client, 1000, 100) != MOSQ_ERR_SUCCESS) return "the broker is gone";
    }
    const char *failure = end(&own, digest);
    mosquitto_disconnect(client);
    mosquitto_destroy(client);
    ZSTD_freeDCtx(own.inflation);
    EVP_CIPHER_CTX_free(own.cipher);
    EVP_MD_CTX_free(own.hash);
    free(own.plain);
    free(own.out);
    close(own.file);
    return failure;
}
