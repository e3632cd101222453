#include "postscreen.h"

#include "screening.h"

#include "async/offload.h"
#include "config/values.h"
#include "log/log.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr Seconds table_check_interval{1};
constexpr Seconds first_cleaning{10};       // after the start
constexpr Seconds longest_pause{24 * 3600}; // of a timer; the interval is looked at then

std::optional<Action> parse_action(std::string_view word)
{
    if (word == "ignore")
        return Action::ignore;
    if (word == "enforce")
        return Action::enforce;
    return word == "drop" ? std::optional(Action::drop) : std::nullopt;
}

} // namespace

Postscreen::Postscreen() : clean_timer_([this] { scope_.spawn(clean, this); })
{
    service_.question_answered = [this] { activity_changed(); };
}

Postscreen::~Postscreen() = default;

JailPolicy Postscreen::jail_policy() const
{
    JailPolicy policy;
    policy.network = true; // name servers
    return policy;
}

Error Postscreen::bad(const ParamBase& param, std::string_view reason) const
{
    return Error{Fault::config,
                 fmt::format("{}: {}: {}", config().place(param.name()), param.name(), reason)};
}

// A value whose $names mean something in a reply only; "$other" alone stands for that parameter's.
std::string Postscreen::own_text(const Param<RawText>& param) const
{
    constexpr int most_steps = 10;
    std::string text = param().text;
    for (int step = 0; step < most_steps && text.starts_with('$'); ++step) {
        const auto other = config().raw(std::string_view(text).substr(1));
        if (!other)
            break;
        text = *other;
    }
    return text;
}

Result<> Postscreen::before_jail()
{
    if (!params_.upstream_protocol().empty() && params_.upstream_protocol() != "haproxy")
        return bad(params_.upstream_protocol, "must be empty or haproxy");
    service_.myhostname = common().myhostname();
    service_.expansion = ExpansionFilter(own_text(params_.expansion_filter));
    service_.footer = own_text(params_.reject_footer);
    TRY_VOID(read_actions());
    TRY_VOID(open_lists());
    TRY_VOID(open_cache());
    TRY_VOID(choose_pace());
    open_tls();
    service_.enabled.add(Test::pregreet);
    if (!service_.sites.empty()) {
        service_.enabled.add(Test::dnsbl);
        TRY(service_.resolver, dns::Resolver::open());
    }
    if (params_.pipelining_enable())
        service_.enabled.add(Test::pipelining);
    if (params_.non_smtp_enable())
        service_.enabled.add(Test::non_smtp);
    if (params_.bare_newline_enable())
        service_.enabled.add(Test::bare_newline);
    return {};
}

// A sender that insists on TLS must find it there: it would not go on to the tests otherwise, and
// never be let in.
void Postscreen::open_tls()
{
    service_.must_encrypt = tls::is_mandatory(params_.level());
    auto tls = tls::open_own_server(params_.tls, params_.level(), service_name());
    if (tls)
        service_.tls = *std::move(tls);
    else
        log::warn(fmt::format("{}: disabling TLS support", tls.error().context));
}

Result<> Postscreen::read_actions()
{
    struct Row {
        const Param<std::string>& param;
        Action& action;
    };
    const std::array<Row, 6> rows = {{
        {params_.denylist_action, service_.denylist},
        {params_.greet_action, service_.pregreet},
        {params_.dnsbl_action, service_.dnsbl},
        {params_.pipelining_action, service_.pipelining},
        {params_.non_smtp_action, service_.non_smtp},
        {params_.bare_newline_action, service_.bare_newline},
    }};
    for (const Row& row : rows) {
        const auto action = parse_action(row.param());
        if (!action)
            return bad(row.param, "must be ignore, enforce or drop");
        row.action = *action;
    }
    return {};
}

Result<> Postscreen::open_lists()
{
    auto access = AccessList::open(parse_list(params_.access_list()), params_.mynetworks());
    if (!access)
        return bad(params_.access_list, access.error().context);
    service_.access = *std::move(access);
    ListOptions addresses;
    addresses.kind = ListKind::addresses;
    addresses.parameter = params_.allowlist_interfaces.name();
    auto interfaces = MatchList::open(params_.allowlist_interfaces(), addresses);
    if (!interfaces)
        return bad(params_.allowlist_interfaces, interfaces.error().context);
    service_.allowlist_interfaces = *std::move(interfaces);
    auto forbidden = MatchList::open(params_.forbidden_commands());
    if (!forbidden)
        return bad(params_.forbidden_commands, forbidden.error().context);
    service_.forbidden_commands = *std::move(forbidden);
    for (const std::string& text : params_.dnsbl_sites()) {
        auto site = parse_dns_site(text);
        if (!site)
            return bad(params_.dnsbl_sites, site.error().context);
        service_.sites.push_back(*std::move(site));
    }
    service_.domains = domains_of(service_.sites);
    service_.command_filter = TableList::open(params_.command_filter);
    service_.discarded_keywords = TableList::open(params_.discarded_keyword_maps);
    service_.footers = TableList::open(params_.reject_footer_maps);
    service_.dnsbl_replies = TableList::open(params_.dnsbl_reply_map);
    return {};
}

Result<> Postscreen::open_cache()
{
    if (params_.cache_map().empty())
        return {};
    auto cache = ScreenCache::open(params_.cache_map());
    if (!cache)
        return bad(params_.cache_map, cache.error().context);
    service_.cache = *std::move(cache);
    return {};
}

// What the parameters would be with stress=yes, for when there is some.
Result<> Postscreen::choose_pace()
{
    Config under_stress = config();
    TRY_VOID(under_stress.override("stress=yes"));
    PostscreenParams hurried;
    TRY_VOID(hurried.load(under_stress));
    service_.usual = {params_.greet_wait(), params_.command_time_limit()};
    service_.hurried = {hurried.greet_wait(), hurried.command_time_limit()};
    return {};
}

Result<> Postscreen::after_jail()
{
    if (service_.cache && params_.cleanup_interval().count() > 0)
        clean_timer_.start(first_cleaning);
    return {};
}

void Postscreen::hand_over_if_stale()
{
    const SteadyTime now = SteadyClock::now();
    if (is_draining() || now - tables_checked_ < table_check_interval)
        return;
    tables_checked_ = now;
    if (!service_.is_stale())
        return;
    log::info("table has changed -- restarting");
    retire();
}

Task<> Postscreen::serve(Session& client)
{
    hand_over_if_stale();
    Screening screening(client, service_);
    co_await screening.run();
}

Task<> Postscreen::clean(Postscreen* self)
{
    self->cleaning_ = true;
    const std::int64_t interval = self->params_.cleanup_interval().count();
    const std::int64_t retention = self->params_.retention_time().count();
    const auto sweep = [self, interval, retention] {
        return self->service_.cache->clean(WallTime::now().seconds, interval, retention);
    };
    const auto done = co_await offload(sweep);
    if (!done)
        log::warn("cache cleanup: " + done.error().context);
    else if (*done)
        log::info(fmt::format("cache {} full cleanup: retained={} dropped={} entries",
                              self->params_.cache_map(), (*done)->retained, (*done)->dropped));
    self->clean_later();
    self->cleaning_ = false;
    self->activity_changed();
}

void Postscreen::clean_later()
{
    if (!is_draining())
        clean_timer_.start(std::min<Seconds>(params_.cleanup_interval(), longest_pause));
}

} // namespace bulkhead
