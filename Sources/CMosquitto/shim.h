#ifndef TRUNKLINE_CMOSQUITTO_SHIM_H
#define TRUNKLINE_CMOSQUITTO_SHIM_H

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <sys/eventfd.h>
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
