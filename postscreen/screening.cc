#include "screening.h"

#include "dialogue.h"
#include "early_tests.h"

#include "async/offload.h"
#include "async/socket_ends.h"
#include "log/log.h"
#include "smtp/proxy_header.h"
#include "table/ask.h"

#include <array>
#include <optional>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr Milliseconds farewell_time{10'000};

// How long smtpd may take to accept a client: as long as a client waits for a greeting
// (RFC 5321, 4.5.3.2.1).
constexpr Milliseconds hand_over_time{300'000};

// Counts up while it lives.
class Counted
{
public:
    Counted(ScreenService& service, int ScreenService::* count) : service_(service), count_(count)
    {
        ++(service_.*count_);
        service_.notice_stress();
    }
    Counted(const Counted&) = delete;
    ~Counted()
    {
        --(service_.*count_);
        service_.notice_stress();
    }

private:
    ScreenService& service_;
    int ScreenService::* count_;
};

} // namespace

Screening::Screening(Session& session, ScreenService& service)
    : session_(session), stream_(session.stream), service_(service)
{
    candidate_.since = SteadyClock::now();
    if (const auto client = peer_end(stream_.fd())) {
        candidate_.ends.client_address = client->text();
        candidate_.ends.client_port = client->port();
        candidate_.ends.v6 = client->is_v6();
    }
    if (const auto here = own_end(stream_.fd())) {
        candidate_.ends.server_address = here->text();
        candidate_.ends.server_port = here->port();
    }
}

Screening::~Screening()
{
    if (!counted_)
        return;
    const auto count = service_.clients.find(candidate_.ends.client_address);
    if (--count->second == 0)
        service_.clients.erase(count);
}

Task<> Screening::run()
{
    if (candidate_.ends.client_address.empty())
        co_return; // gone already
    if (!service_.params.upstream_protocol().empty())
        co_await read_proxy_header();
    if (!candidate_.closing) {
        log::info(fmt::format("CONNECT from {} to [{}]:{}", candidate_.label(),
                              candidate_.ends.server_address, candidate_.ends.server_port));
        co_await judge();
    }
    if (!candidate_.gone)
        co_await leave();
}

Task<> Screening::leave()
{
    stream_.clear_deadline();
    stream_.set_timeout(farewell_time);
    (void)co_await stream_.flush();
    stream_.close();
    log::info("DISCONNECT " + candidate_.label());
}

// Nothing but the header is taken.
Task<> Screening::read_proxy_header()
{
    std::array<char, proxy_header_limit> room;
    std::string_view bytes;
    std::string problem;
    stream_.set_deadline(SteadyClock::now() + service_.params.upstream_timeout());
    for (std::size_t wanted = 1; problem.empty(); wanted = bytes.size() + 1) {
        const auto seen = co_await stream_.see(wanted);
        bytes = seen ? std::string_view(room.data(), stream_.peek(room)) : bytes;
        const auto header = parse_proxy_header(bytes);
        if (!seen)
            problem = seen.error().fault == Fault::timeout ? "timeout error" : "unexpected EOF";
        else if (!header)
            problem = header.error().context;
        else if (*header) {
            if ((*header)->told) {
                candidate_.ends.v6 = (*header)->v6;
                candidate_.ends.client_address = (*header)->client.address;
                candidate_.ends.client_port = (*header)->client.port;
                candidate_.ends.server_address = (*header)->server.address;
                candidate_.ends.server_port = (*header)->server.port;
            }
            (void)stream_.drop_peeked((*header)->size);
            break;
        }
    }
    stream_.clear_deadline();
    if (problem.empty())
        co_return;
    log::warn(fmt::format("haproxy read: {}: {}", problem, escaped(bytes)));
    (void)stream_.drop_peeked(bytes.size());
    candidate_.closing = true;
    const Reply reply(421, "4.3.2", service_.myhostname + " Error: bad or missing PROXY header");
    reply.append_wire(stream_.output());
}

// False: too many of this client.
bool Screening::count()
{
    const int count = ++service_.clients[candidate_.ends.client_address];
    counted_ = true;
    const int limit = service_.params.connection_count_limit();
    return limit == 0 || count <= limit;
}

Task<> Screening::turn_away(std::string_view why, Reply reply)
{
    log::info(fmt::format("NOQUEUE: reject: CONNECT from {}: {}", candidate_.label(), why));
    candidate_.closing = true;
    co_await add_footer(&service_, &candidate_, &reply);
    reply.append_wire(stream_.output());
}

Task<> Screening::judge()
{
    if (!count()) {
        Reply reply(421, "4.7.0",
                    fmt::format("{} Error: too many connections from {}", service_.myhostname,
                                candidate_.ends.client_address));
        co_return co_await turn_away("too many connections", std::move(reply));
    }
    const bool settled = co_await is_settled_by_list();
    if (settled)
        co_return;
    co_await recall();
    if (candidate_.due.empty() && !candidate_.failed) {
        log::info("PASS OLD " + candidate_.label());
        co_return co_await give_to_smtpd();
    }
    if (service_.testing >= service_.params.pre_queue_limit()) {
        Reply reply(421, "4.3.2", "All screening ports are busy");
        co_return co_await turn_away("all screening ports busy", std::move(reply));
    }
    const Counted counted(service_, &ScreenService::testing);
    co_await test();
}

std::string_view Screening::shown_list(bool welcome) const
{
    if (service_.params.respectful_logging())
        return welcome ? "ALLOWLIST" : "DENYLIST";
    return welcome ? "WHITELIST" : "BLACKLIST";
}

// True: nothing is left to do.
Task<bool> Screening::is_settled_by_list()
{
    std::string reason;
    const auto find = [&] { return service_.access.find(candidate_.ends.client_address, reason); };
    const Access access = co_await ask(service_.access.may_block(), find);
    if (access == Access::broken)
        log::warn("postscreen_access_list: " + reason);
    if (access == Access::permit) {
        log::info(fmt::format("{}ED {}", shown_list(true), candidate_.label()));
        co_await give_to_smtpd();
        co_return true;
    }
    if (access != Access::reject)
        co_return false;
    log::info(fmt::format("{}ED {}", shown_list(false), candidate_.label()));
    if (service_.denylist == Action::ignore)
        co_return false;
    const bool drops = service_.denylist == Action::drop;
    Reply reply(drops ? 521 : 550, "5.3.2", "Service currently unavailable");
    candidate_.refuse(reply);
    if (!drops)
        co_return false;
    candidate_.closing = true;
    co_await add_footer(&service_, &candidate_, &reply);
    reply.append_wire(stream_.output());
    co_return true;
}

// What is known of the client; a cache that does not answer knows nobody.
Task<> Screening::recall()
{
    if (service_.cache) {
        const auto look = [this] { return service_.cache->find(candidate_.ends.client_address); };
        const auto found = co_await offload(look);
        if (!found)
            log::warn("postscreen_cache_map: " + found.error().context);
        else if (*found) {
            candidate_.known = true;
            candidate_.results = **found;
        }
    }
    candidate_.due = candidate_.results.due(service_.enabled, WallTime::now().seconds);
}

Task<bool> Screening::is_vetoed()
{
    const MatchList& interfaces = service_.allowlist_interfaces;
    const auto match = [&] { return interfaces.match(candidate_.ends.server_address); };
    const ListMatch found = co_await ask(interfaces.may_block(), match);
    if (found.is_broken())
        log::warn("postscreen_allowlist_interfaces: " + found.reason);
    co_return found.answer == Membership::no;
}

Task<> Screening::test()
{
    candidate_.vetoed = co_await is_vetoed();
    if (candidate_.vetoed)
        log::info(fmt::format("{} VETO {}", shown_list(true), candidate_.label()));
    const Tests enabled_and_due = candidate_.due;
    if (enabled_and_due.has_early()) {
        EarlyTests early(stream_, service_, candidate_);
        co_await early.run();
        if (candidate_.closing && !candidate_.gone) {
            co_await add_footer(&service_, &candidate_, &candidate_.answer);
            candidate_.answer.append_wire(stream_.output());
        }
    }
    const bool needs_dialogue = candidate_.failed || candidate_.vetoed || candidate_.due.has_deep();
    if (needs_dialogue && !candidate_.closing) {
        Dialogue dialogue(stream_, session_.at_rest, service_, candidate_);
        co_await dialogue.run();
        co_await conclude();
        co_return;
    }
    co_await conclude();
    if (!candidate_.closing)
        co_await give_to_smtpd();
}

// One who has passed all that was due is known from now on; one who left earlier has what it has.
Task<> Screening::conclude()
{
    const bool hung_up = candidate_.gone;
    if (!candidate_.failed && !candidate_.vetoed && !candidate_.passed.empty()) {
        if (candidate_.due == Tests() && candidate_.is_clean())
            log::info(fmt::format("PASS {} {}", candidate_.known ? "OLD" : "NEW", candidate_.label()));
        co_await remember();
    }
    if (hung_up)
        log::info("DISCONNECT " + candidate_.label());
}

Task<> Screening::remember()
{
    if (!service_.cache)
        co_return;
    for (std::size_t i = 0; i < test_count; ++i) {
        std::int64_t& until = candidate_.results.until[i];
        if (!service_.enabled.has(static_cast<Test>(i)) && until == TestResults::not_passed)
            until = TestResults::not_tested;
    }
    const auto store = [this] {
        return service_.cache->store(candidate_.ends.client_address, candidate_.results);
    };
    const auto stored = co_await offload(store);
    if (!stored)
        log::warn("postscreen_cache_map: " + stored.error().context);
}

Task<> Screening::give_to_smtpd()
{
    Reply busy(421, "4.3.2", "All server ports are busy");
    if (service_.passing >= service_.params.post_queue_limit())
        co_return co_await turn_away("all server ports busy", std::move(busy));
    const Counted counted(service_, &ScreenService::passing);
    (void)co_await stream_.flush(); // the teaser stands in front of the greeting
    ipc::SessionState state = candidate_.ends;
    std::string path = "private/" + service_.params.smtpd_service();
    const int client = stream_.fd();
    const auto channel = co_await ipc::hand_over(std::move(path), std::move(state), client, hand_over_time);
    if (!channel) {
        log::warn(fmt::format("{} is not handed over to service {}: {}", candidate_.label(),
                              service_.params.smtpd_service(), channel.error().context));
        co_return co_await turn_away("all server ports busy", std::move(busy));
    }
    candidate_.gone = true;
    stream_.let_go();
}

} // namespace bulkhead
