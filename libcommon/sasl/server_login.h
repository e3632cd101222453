// The server's side of one login by a SASL mechanism: PLAIN, LOGIN, CRAM-MD5, SCRAM,
// OAUTHBEARER, XOAUTH2.  Knows users only as a UserSource gives them; steps may hash and
// look up, so they run on a pool thread.
#pragma once

#include "base/result.h"
#include "sasl/credentials.h"
#include "sasl/mechanism.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::sasl
{

struct StoredUser {
    std::string name; // as it is stored: what others are told
    Credentials credentials;
};

// Asked on pool threads, by several at once.
class UserSource
{
public:
    virtual ~UserSource() = default;

    // nullopt: no such user.  An error: nobody knows, the login fails for now.
    virtual Result<std::optional<StoredUser>> find(const std::string& user) = 0;

    // The users that this token of an authorization server stands for; none: it is not valid.
    virtual Result<std::vector<std::string>> owners_of(const std::string& token) = 0;
};

// What all users can log in with, besides their passwords in clear.
struct UserAbilities {
    bool scram_sha256 = false;
    bool scram_sha1 = false;
    bool plain = false; // their passwords are stored as they are: CRAM-MD5
    bool tokens = false;
};

struct LoginStep {
    enum class Kind {
        go_on,   // challenge
        granted, // user
        denied,  // user, as far as known; reason
        broken,  // the same: not the client's fault
    };
    explicit LoginStep(Kind what) : kind(what) {}

    Kind kind;
    std::string challenge;
    std::string user;
    std::string reason;
};

class ServerLogin
{
public:
    virtual ~ServerLogin() = default;

    // nullopt: the client has sent no initial response.
    virtual LoginStep step(const std::optional<std::string>& response) = 0;
};

// What is of use to such users, strongest first: a client takes the best that it knows, and
// must not fail with it.
std::vector<Mechanism> server_mechanisms(const UserAbilities& users);

// All that begin_login() knows.
std::vector<Mechanism> all_server_mechanisms();

// Null: no such mechanism.  users must outlive the login.
std::unique_ptr<ServerLogin> begin_login(std::string_view mechanism, UserSource& users);

} // namespace bulkhead::sasl
