#ifndef TRUNKLINE_BARE_PIPELINE_H
#define TRUNKLINE_BARE_PIPELINE_H

#include <stddef.h>

// What a delivery cannot do without, and nothing around it: receives so many parts of a gzip'd file on `filter`/+ from the broker at this port of
// 127.0.0.1, opens (AES-256-GCM, the nonce is the part's number, no other data), hashes, inflates and writes each as it comes, in order, and
// brings the file to the disk. Says "ready" on standard output when it is subscribed, and how far it is on `progress`, every 16 parts.
// Returns 0, or what failed; `digest` is the SHA-256 in hex of what must have come.
const char *trunkline_bare_pipeline(
    int port, const char *filter, const char *progress, const unsigned char key[32], int parts, const char *digest,
    const char *file);

// Seals one part as the pipeline opens it; `sealed` has room for 16 bytes more. 1 where it went well.
int trunkline_bare_seal(
    const unsigned char key[32], int number, const unsigned char *part, size_t count, unsigned char *sealed);

#endif
