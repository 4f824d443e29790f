#ifndef TRUNKLINE_CMOSQUITTO_SHIM_H
#define TRUNKLINE_CMOSQUITTO_SHIM_H

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

// The one place where callbacks are registered. Each parameter is @Sendable, because a closure literal that is used as a
// C callback inherits the isolation of where it is written and would die on the loop's thread. (On a typedef the
// attribute has no effect.) Everything must be registered before connecting: libmosquitto 2.0 holds its callback mutex
// while a callback runs, so that setting one inside another never returns.
#define TRUNKLINE_SENDABLE __attribute__((swift_attr("@Sendable")))

static inline void trunkline_set_connection_callbacks(
    struct mosquitto *client,
    void (*connected)(struct mosquitto *, void *, int, int, const mosquitto_property *) TRUNKLINE_SENDABLE,
    void (*disconnected)(struct mosquitto *, void *, int, const mosquitto_property *) TRUNKLINE_SENDABLE)
{
    mosquitto_connect_v5_callback_set(client, connected);
    mosquitto_disconnect_v5_callback_set(client, disconnected);
}

static inline void trunkline_set_message_callbacks(
    struct mosquitto *client,
    void (*arrived)(struct mosquitto *, void *, const struct mosquitto_message *, const mosquitto_property *)
        TRUNKLINE_SENDABLE,
    void (*published)(struct mosquitto *, void *, int, int, const mosquitto_property *) TRUNKLINE_SENDABLE)
{
    mosquitto_message_v5_callback_set(client, arrived);
    mosquitto_publish_v5_callback_set(client, published);
}

static inline void trunkline_set_subscription_callbacks(
    struct mosquitto *client,
    void (*subscribed)(struct mosquitto *, void *, int, int, const int *, const mosquitto_property *)
        TRUNKLINE_SENDABLE,
    void (*unsubscribed)(struct mosquitto *, void *, int, const mosquitto_property *) TRUNKLINE_SENDABLE)
{
    mosquitto_subscribe_v5_callback_set(client, subscribed);
    mosquitto_unsubscribe_v5_callback_set(client, unsubscribed);
}

static inline void trunkline_set_log_callback(
    struct mosquitto *client, void (*logged)(struct mosquitto *, void *, int, const char *) TRUNKLINE_SENDABLE)
{
    mosquitto_log_callback_set(client, logged);
}

// A client's context for TLS 1.3 only, which trusts nobody yet and takes only a server with this name or address.
static inline SSL_CTX *trunkline_tls_new(const char *host)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context) return NULL;
    X509_VERIFY_PARAM *expected = SSL_CTX_get0_param(context);
    int named = X509_VERIFY_PARAM_set1_ip_asc(expected, host) || X509_VERIFY_PARAM_set1_host(expected, host, 0);
    if (!named || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION)) {
        SSL_CTX_free(context);
        return NULL;
    }
    ERR_clear_error();
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return context;
}

static inline void trunkline_tls_free(SSL_CTX *context) { SSL_CTX_free(context); }

// Whether the handshake is over as far as this side can see (a server may still refuse the certificate).
static inline int trunkline_tls_is_complete(struct mosquitto *client)
{
    SSL *ssl = (SSL *)mosquitto_ssl_get(client);
    return ssl && SSL_is_init_finished(ssl);
}

// Bytes that were decrypted and not read.
static inline int trunkline_tls_pending(struct mosquitto *client)
{
    SSL *ssl = (SSL *)mosquitto_ssl_get(client);
    return ssl ? SSL_pending(ssl) : 0;
}

// Bytes that wait in the socket; ioctl(2) is variadic, which Swift cannot call.
static inline int trunkline_readable(int descriptor, int *count) { return ioctl(descriptor, FIONREAD, count); }

// How many authorities were added.
static inline int trunkline_tls_trust(SSL_CTX *context, const char *pem)
{
    int count = 0;
    BIO *text = BIO_new_mem_buf(pem, -1);
    X509 *certificate;
    while (text && (certificate = PEM_read_bio_X509(text, NULL, NULL, NULL))) {
        count += X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate);
        X509_free(certificate);
    }
    BIO_free(text);
    ERR_clear_error();
    return count;
}

// 1 where certificate and key were taken and belong together.
static inline int trunkline_tls_identity(SSL_CTX *context, const char *certificate_pem, const char *key_pem)
{
    BIO *text = BIO_new_mem_buf(certificate_pem, -1);
    X509 *certificate = text ? PEM_read_bio_X509(text, NULL, NULL, NULL) : NULL;
    BIO_free(text);
    text = BIO_new_mem_buf(key_pem, -1);
    EVP_PKEY *key = text ? PEM_read_bio_PrivateKey(text, NULL, NULL, NULL) : NULL;
    BIO_free(text);
    int taken = certificate && key && SSL_CTX_use_certificate(context, certificate) == 1
        && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return taken;
}

// A descriptor that makes poll(2) return when another thread has work for the loop.
static inline int trunkline_wakeup_open(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }
static inline void trunkline_wakeup_signal(int descriptor) { (void)eventfd_write(descriptor, 1); }
static inline void trunkline_wakeup_clear(int descriptor)
{
    eventfd_t count;
    (void)eventfd_read(descriptor, &count);
}

// The name of the calling thread, as `top -H` shows it; prctl(2) is variadic, which Swift cannot call.
static inline void trunkline_name_thread(const char *name) { (void)prctl(PR_SET_NAME, name); }

#endif
