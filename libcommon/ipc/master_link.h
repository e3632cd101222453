// What master and a worker tell each other over the worker's control socket (a
// SOCK_SEQPACKET pair, descriptor 5 of the worker).  Fixed-size values between
// processes of one build.  When the master dies the kernel closes its end.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>

namespace bulkhead::ipc
{

// The main.cf of the running generation, sealed: a worker started after a failed or
// unfinished edit has the configuration that the master has checked.
inline constexpr int config_fd = 4;
inline constexpr int control_fd = 5;      // in the worker
inline constexpr int first_listen_fd = 6; // and the following ones, as many as -s says

// Set for workers that may act as other users: as whom they may not (RefusedIds of os/jail.h).
inline constexpr const char* refused_ids_variable = "MAIL_REFUSED_IDS";

// What a worker is ready for.  The master watches a service's listening sockets
// itself whenever none of its workers is `available`.
enum class WorkerState : std::uint32_t {
    starting,  // not jailed yet; accepts nothing
    available, // accepts more sessions
    full,      // serves, accepts no more for now
    leaving,   // accepts no more ever; ends when its sessions are done
};

// Worker to master, whenever the state changes and at most once a turn of its loop.
struct WorkerReport {
    static constexpr std::uint32_t current_version = 1;

    std::uint32_t version = current_version;
    WorkerState state = WorkerState::starting;
    std::uint32_t sessions = 0; // open now
    std::uint32_t reserved = 0;
    std::uint64_t served = 0; // sessions since the start
    std::int64_t wake_at = 0; // leaving: unix time to start a worker again, 0: on demand
};

// Master to worker, one byte each.
enum class MasterOrder : std::uint8_t {
    wake = 'W',   // the service's wake-up time has come
    drain = 'D',  // accept no more, finish what runs, leave (reload, orderly stop)
    stop = 'S',   // break off and leave now (stop)
    refuse = 'R', // all are full and none may be added: tell new clients so (those that can be told)
    relent = 'A', // no longer: new clients are somebody's
};

// Sends without blocking; false when the socket is full or gone.
bool send_report(int fd, const WorkerReport& report);
bool send_order(int fd, MasterOrder order);

enum class LinkEvent { none, message, closed };

// Takes one datagram if there is one.
LinkEvent receive_report(int fd, WorkerReport& report);
LinkEvent receive_order(int fd, MasterOrder& order);

} // namespace bulkhead::ipc
