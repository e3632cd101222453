// Counting what clients do, over all processes of a service: smtpd reports, anvil/ counts.
// A process reports over one connection that it keeps; when that ends, the connections of
// clients that it has reported are over.
#pragma once

#include "async/task.h"
#include "async/wait.h"
#include "ipc/channel.h"

#include <cstdint>
#include <memory>
#include <string>

namespace bulkhead::ipc
{

enum class ClientEvent : std::uint8_t {
    connect,
    disconnect,
    message,
    recipient,
    new_tls,
    auth,
    tls_rate, // nothing happens: only asks for the rate of new_tls
};

// client: "service:address".
struct ClientReport {
    ClientEvent event = ClientEvent::connect;
    std::string client;
};

// Of that client now, this event included.
struct ClientCounts {
    int connections = 0;
    int rate = 0; // events of this kind in the current time unit
};

constexpr std::size_t client_name_limit = 512; // bytes

Message encode(const ClientReport& report);
Message encode(const ClientCounts& counts);
Result<ClientReport> decode_client_report(const Message& message);
Result<ClientCounts> decode_client_counts(const Message& message);

class Anvil
{
public:
    explicit Anvil(std::string path) : path_(std::move(path)), turn_(1) {}

    // Fault::broken when there is no answer within the time limit; nothing is counted then.
    Task<Result<ClientCounts>> report(ClientReport report);

private:
    static constexpr Milliseconds time_limit{10'000};

    Task<Result<ClientCounts>> ask(const Message& request);

    std::string path_;
    std::unique_ptr<Stream> stream_;
    Semaphore turn_; // one question at a time
};

} // namespace bulkhead::ipc
