// The SMTP client as a delivery agent: for each request, finds the hosts, speaks
// with one after the other until every recipient has an answer, and keeps
// connections for the next request.
#pragma once

#include "async/address.h"
#include "client_sasl.h"
#include "client_tls.h"
#include "hosts.h"
#include "nexthop.h"
#include "output_filter.h"
#include "params.h"
#include "pool.h"
#include "session_notice.h"
#include "table/domain_list.h"
#include "worker/delivery_agent.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead
{

namespace dns
{
class Resolver;
}
class LocalDomains;

class SmtpAgent final : public DeliveryAgent
{
public:
    explicit SmtpAgent(Protocol protocol = Protocol::smtp);
    ~SmtpAgent() override;

    ParamSet& params() override { return params_; }
    JailPolicy jail_policy() const override;
    Result<> before_jail() override;
    void drain() override { pool_.close(); }
    Task<> deliver(Delivery& delivery) override;
    std::string status_filter() const override { return params_.status_filter(); }
    bool wants_attributes() const override { return params_.send_xforward(); }
    Task<ipc::Message> explain(const ipc::Message& question) override;

private:
    struct Attempt; // the state of one request
    struct Opened;  // a session, or why there is none

    Task<> try_nexthop(Attempt& attempt, std::string text);
    bool is_enough(const Attempt& attempt) const;
    Task<> pass_to_best_mx(Delivery& delivery, const Nexthop& nexthop);
    Task<int> trace_level_of(const Nexthop& nexthop, const Peer& peer);
    Task<> try_kept_sessions(Attempt& attempt, const std::string& text);
    Task<> try_host(Attempt& attempt, const Nexthop& nexthop, const std::string& text, TlsPlan plan,
                    Host host);
    Task<Result<SessionHabits>> habits_of(Peer peer, const ipc::DeliveryRequest& request);
    Task<Opened> open_session(const ipc::DeliveryRequest& request, const Nexthop& nexthop, TlsPlan plan,
                              LoginPlan login, Peer peer, Milliseconds patience);
    bool may_fall_back_to_clear(const ipc::DeliveryRequest& request, const TlsPlan& plan) const;
    Task<Result<UniqueFd>> connect_to(Peer peer, Milliseconds time);
    void introduce_ourselves(int fd) const;
    Task<Result<>> map_envelope(OutgoingEnvelope& envelope);
    Task<bool> transact(Attempt& attempt, std::unique_ptr<SmtpSession> session, const std::string& nexthop);
    Task<> refuse_unsafe_addresses(Delivery& delivery);
    Result<> choose_local_addresses();
    void hand_over_if_stale();
    bool keeps_connections(const std::string& nexthop, const Peer& peer) const;

    SmtpParams params_;
    ServicePorts services_;
    std::unique_ptr<dns::Resolver> resolver_;
    std::unique_ptr<LocalDomains> own_addresses_;
    std::optional<HostFinder> finder_;
    std::unique_ptr<ClientTls> tls_;
    std::unique_ptr<ClientSasl> sasl_;
    std::optional<SessionNotices> notices_;
    OutputPolicy output_;
    TableList discards_;
    TableList pix_workarounds_;
    TableList replies_;
    MatchList debug_peers_;
    SteadyTime changes_checked_{};
    std::optional<SocketAddress> local_v4_;
    std::optional<SocketAddress> local_v6_;
    SessionPool pool_{params_};
};

} // namespace bulkhead
