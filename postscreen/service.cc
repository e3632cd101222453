#include "service.h"

#include "log/log.h"
#include "mail/date.h"
#include "smtp/reject_footer.h"
#include "table/ask.h"

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

std::optional<std::string> footer_value(const ScreenService& service, const Candidate& candidate,
                                        std::string_view name)
{
    if (name == "client_address")
        return candidate.ends.client_address;
    if (name == "client_port")
        return std::to_string(candidate.ends.client_port);
    if (name == "client_name" || name == "reverse_client_name")
        return "unknown"; // nobody asks for names here
    if (name == "helo_name")
        return candidate.helo;
    if (name == "sender")
        return candidate.sender;
    if (name == "recipient")
        return candidate.recipient;
    if (name == "server_name" || name == "myhostname")
        return service.myhostname;
    if (name == "localtime")
        return listing_date(WallTime::now().seconds).substr(4);
    return std::nullopt;
}

} // namespace

bool ScreenService::is_stale() const
{
    return access.is_stale() || allowlist_interfaces.is_stale() || forbidden_commands.is_stale() ||
           command_filter.is_stale() || discarded_keywords.is_stale() || footers.is_stale() ||
           dnsbl_replies.is_stale();
}

void ScreenService::notice_stress()
{
    constexpr int begins = 90; // per cent of what is allowed
    constexpr int ends = 70;
    const int share = testing * 100 / params.pre_queue_limit();
    const bool now = stressed ? share > ends : share >= begins;
    if (now == stressed)
        return;
    stressed = now;
    log::info(fmt::format("{} STRESS mode with {} connections", now ? "entering" : "leaving", testing));
}

Task<> add_footer(const ScreenService* service, const Candidate* candidate, Reply* reply)
{
    std::string footer = service->footer;
    TableList& tables = service->footers;
    if (!tables.empty()) {
        const std::string key = reply->summary();
        const auto find = [&] { return tables.find(key); };
        const Lookup answer = co_await ask(tables.may_block(), find);
        if (answer.is_found())
            footer = answer.value();
        else if (answer.is_broken())
            log::warn("postscreen_reject_footer_maps: " + answer.reason());
    }
    if (footer.empty())
        co_return;
    const FooterValues values = [&](std::string_view name) {
        auto value = footer_value(*service, *candidate, name);
        if (value)
            value = service->expansion.filtered(*std::move(value));
        return value;
    };
    const auto added = append_footer(*reply, footer, values);
    if (!added)
        log::warn("postscreen_reject_footer: " + added.error().context);
}

} // namespace bulkhead
