// A connection that changes process in the middle of a dialogue: its descriptor, and what the
// one who began it tells the one who goes on.  frontdoor hands over; a service of type pass
// takes (worker/worker.h), smtpd goes on.
//
//   giver                                  taker
//   session {state}, with the descriptor  ->
//                                         <-  ok, or failed {reason}
//
// From ok on the connection is the taker's.  Where state.recipient is set the channel stays,
// for questions about other recipients:
//
//                                         <-  recipient_owner {address}
//   ok {here}, or failed {reason}         ->
#pragma once

#include "async/task.h"
#include "ipc/channel.h"
#include "tls/facts.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead::ipc
{

struct SessionState {
    // What the client waits for.
    enum class Stage : std::uint8_t {
        greeting,  // nothing was said
        handshake, // STARTTLS was answered with 220; what the client sends is in the socket
        reply,     // to the first command in `unread`
    };
    Stage stage = Stage::greeting;

    // The client, and where it has connected to: as the kernel, or a proxy, tells it.
    std::string client_address; // without brackets; empty: no client on the network
    std::string server_address;
    std::uint16_t client_port = 0;
    std::uint16_t server_port = 0;
    bool v6 = false;

    // Of an encrypted session that the giver carries.
    std::optional<tls::Facts> tls;

    std::vector<std::string> answered; // commands answered with success that still count, in order
    std::string unread;                // what the client has sent behind them

    // By which the taker was chosen; not empty: others may belong elsewhere.
    std::string recipient;

    // Overwrites what may be secret.
    void wipe();
};

constexpr std::size_t max_answered = 4;
constexpr std::size_t max_answered_size = 16 * 1024;
constexpr std::size_t max_unread = 64 * 1024;

Message encode(const SessionState& state);
Result<SessionState> decode_session(const Message& message);

// Gives away: the descriptor stays open here too until its owner closes it.  Gives back the
// channel.  Faults: not_found: nobody listens at `path`; limit: too many wait there; timeout;
// refused, with the taker's reason.
Task<Result<std::unique_ptr<Stream>>> hand_over(std::string path, SessionState state, int client,
                                                Milliseconds timeout);

struct TakenSession {
    UniqueFd client;
    std::unique_ptr<SessionState> state;
};

// Takes what comes over the channel, and says so.
Task<Result<TakenSession>> take_over(Stream& channel);

enum class RecipientOwner { here, elsewhere, unknown };

// Asked over the channel of a session; unknown: the giver is gone, or its tables do not answer.
Task<RecipientOwner> ask_owner(Stream& channel, std::string recipient);

Result<std::string> decode_owner_question(const Message& message);
Message encode(RecipientOwner answer);

} // namespace bulkhead::ipc
