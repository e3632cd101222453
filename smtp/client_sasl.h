// Logins at servers: which user and password, and which mechanism.  Opened before the jail
// and shared by all deliveries; the dialogue is in authentication.cc.
#pragma once

#include "outcome.h"
#include "sasl_params.h"

#include "async/task.h"
#include "base/result.h"
#include "sasl/mechanism.h"
#include "table/domain_list.h"
#include "table/table.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead
{

// With whom to log in; no user: not at all.
struct LoginPlan {
    std::string user;
    std::string password;

    bool is_wanted() const { return !user.empty(); }
};

struct PlannedLogin {
    LoginPlan plan;
    std::optional<DeliveryStatus> failure; // the mail must wait
};

// How well the connection protects what is said.
enum class Protection { none, tls, verified_tls };

class ExpiringTable;

class ClientSasl
{
public:
    // params must outlive it.
    static Result<std::unique_ptr<ClientSasl>> open(const SmtpSaslParams& params);

    ~ClientSasl();

    const SmtpSaslParams& params() const { return params_; }
    bool is_enabled() const { return params_.enable(); }
    // Two messages for one next hop may need different logins.
    bool depends_on_sender() const { return is_enabled() && params_.by_sender(); }

    // plan_for() may wait for another process: use co_await ask().
    bool may_block() const { return passwords_.may_block(); }
    // By the sender's address and its @domain where that is wanted, then the server's name,
    // then the next hop as it is written.
    PlannedLogin plan_for(const std::string& sender, const std::string& host, const std::string& nexthop);

    // The best mechanism that the server offers and the parameters allow; nullopt: none.
    std::optional<std::string> choose(const std::vector<std::string>& offered, Protection protection,
                                      bool can_bind) const;

    // The server has refused this user and password before: what it said then.
    Task<std::optional<DeliveryStatus>> known_refusal(const LoginPlan& plan, const Peer& peer);
    void note_refusal(const LoginPlan& plan, const Peer& peer, const PeerReply& reply);

    bool is_stale() const { return passwords_.is_stale() || filter_.is_stale(); }

private:
    explicit ClientSasl(const SmtpSaslParams& params);

    const SmtpSaslParams& params_;
    TableList passwords_;
    MatchList filter_;
    std::unique_ptr<ExpiringTable> refusals_; // null: none are remembered
    sasl::Demands in_clear_;
    sasl::Demands in_tls_;
    sasl::Demands in_verified_tls_;
};

} // namespace bulkhead
