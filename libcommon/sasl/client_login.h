// The client's side of one login by a SASL mechanism, and which mechanism to take.  Steps
// of SCRAM compute for milliseconds: not on the loop.
#pragma once

#include "base/result.h"
#include "sasl/mechanism.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::sasl
{

struct ClientSecrets {
    std::string user;
    std::string password; // the token, for OAUTHBEARER and XOAUTH2
    std::string host;     // of the server, for OAUTHBEARER
    std::uint16_t port = 0;
    std::string channel_binding; // tls-exporter (RFC 9266); empty: none
};

// The best of the offered mechanisms that these demands allow; nullopt: none.  Those with
// -PLUS need a channel binding.
std::optional<std::string> choose_mechanism(const std::vector<std::string>& offered, const Demands& demands,
                                            bool can_bind);

class ClientLogin
{
public:
    // Fault::refused for a mechanism that is not known here.
    static Result<std::unique_ptr<ClientLogin>> begin(std::string_view mechanism, ClientSecrets secrets);
    virtual ~ClientLogin() = default;

    // The server speaks first: AUTH goes without an initial response.
    virtual bool waits_for_challenge() const { return false; }

    // The answer to a challenge; with none, the initial response.  Fault::refused: the
    // server's challenge is not acceptable.
    virtual Result<std::string> answer(const std::string& challenge) = 0;

    // The server has given all proof that the mechanism has: its "yes" may be believed.
    virtual bool is_complete() const { return true; }
};

} // namespace bulkhead::sasl
