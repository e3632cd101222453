// One TLS conversation on a socket, as the transport of a Stream.  Made by a ServerContext
// or a ClientContext, which it must not outlive.
#pragma once

#include "async/transport.h"
#include "tls/facts.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::tls
{

class Connection final : public Transport
{
public:
    struct State; // connection_state.h
    explicit Connection(std::unique_ptr<State> state);
    ~Connection() override;

    Step handshake() override;
    Step read(std::span<char> room, std::size_t& got) override;
    Step write(std::string_view bytes, std::size_t& taken) override;
    void close() override;
    // "error:0A00010B:SSL routines::wrong version number:...", as log lines have it; empty when
    // the peer has just gone.
    std::string problem() const override;

    // ---- after the handshake ----
    Facts facts() const;

    // The DNS names of the peer's certificate; its common name when there are none.
    std::vector<std::string> names() const;

    // One of the names fits one of `wanted` (name_matches()).
    bool has_name_of(const std::vector<std::string>& wanted) const;
    // The certificate or its key has one of these fingerprints.
    bool has_fingerprint_of(const std::vector<std::string>& wanted) const;

    // Key material of this conversation for channel bindings (RFC 9266: label
    // "EXPORTER-Channel-Binding"); empty when there is none.
    std::string exported(std::string_view label, std::size_t size) const;

private:
    std::unique_ptr<State> state_;
};

} // namespace bulkhead::tls
