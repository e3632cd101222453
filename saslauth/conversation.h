// One program's connection to saslauth: greeting, then any number of logins at once, each
// by its id.  A request that makes no sense ends the connection.
#pragma once

#include "penalty.h"
#include "user_store.h"

#include "async/scope.h"
#include "async/task.h"
#include "async/wait.h"
#include "sasl/auth_protocol.h"
#include "sasl/server_login.h"
#include "worker/worker.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead
{

// What all conversations of the process share.
struct LoginService {
    LoginService(UserStore& store, std::vector<sasl::Mechanism> fixed)
        : users(store), mechanisms(std::move(fixed))
    {
    }

    UserStore& users;
    std::vector<sasl::Mechanism> mechanisms; // empty: those that all users can use
    PenaltyBook penalties;
    Semaphore turns{8}; // a hash takes memory and a processor: the others wait
};

class Conversation
{
public:
    Conversation(Session& session, LoginService& service) : session_(session), service_(service) {}

    Task<> run();

private:
    struct Login {
        std::unique_ptr<sasl::ServerLogin> exchange;
        std::string client; // address
        bool busy = false;
        bool cancelled = false;
    };

    Task<> greet();
    Result<> obey(sasl::AuthRequest request);
    Result<> begin(sasl::AuthRequest request);
    static Task<> step(Conversation* self, std::uint32_t id, std::optional<std::string> response);
    Task<sasl::LoginStep> take_turn(Login& login, const std::optional<std::string>& response);
    void say(const sasl::AuthAnswer& answer);

    Session& session_;
    LoginService& service_;
    std::vector<sasl::Mechanism> offered_;
    std::map<std::uint32_t, Login> logins_; // references stay valid while others come and go
    Scope steps_;
};

} // namespace bulkhead
