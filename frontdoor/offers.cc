#include "offers.h"

#include "base/text.h"
#include "config/config.h"
#include "config/environment.h"
#include "config/front_door.h"
#include "log/log.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// Keywords that mean the same for all, in the order of smtpd.  VRFY, ETRN, XCLIENT and XFORWARD
// are answered by an environment only.
constexpr std::array<std::string_view, 7> all_keywords = {
    "PIPELINING", "SIZE", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING"};

// The configuration of the service that takes sessions; nullopt: there is none.
std::optional<Config> config_of_taker(const EnvironmentConfig& environment)
{
    for (const ServiceEntry& entry : environment.master.services) {
        if (entry.type != ServiceType::pass || entry.name != front_door_service)
            continue;
        Config config = environment.config;
        for (const std::string& assignment : entry.overrides)
            (void)config.override(assignment); // the master has looked at it
        return config;
    }
    return std::nullopt;
}

} // namespace

Offers Offers::of_all(const Config& primary, const FrontDoorParams& params)
{
    Offers offers;
    offers.keywords.assign(all_keywords.begin(), all_keywords.end());
    offers.auth_only = params.auth_only();
    std::vector<std::string> folders{primary.config_directory()};
    std::ranges::copy(secondary_directories(primary), std::back_inserter(folders));
    for (const std::string& folder : folders) {
        const auto environment = load_environment(folder, folder == primary.config_directory());
        if (!environment) {
            log::warn(fmt::format("not asked what it offers: {}", environment.error().context));
            continue;
        }
        if (!environment->enabled)
            continue;
        if (const auto config = config_of_taker(*environment))
            offers.limit_to(*config);
    }
    std::erase_if(offers.keywords, [&](const std::string& keyword) {
        return std::ranges::any_of(params.discarded_keywords(), [&](const std::string& word) {
            return equals_ignoring_case(word, keyword);
        });
    });
    return offers;
}

void Offers::limit_to(const Config& environment)
{
    const std::vector<std::string> discarded = environment.get_list("smtpd_discard_ehlo_keywords");
    const bool utf8 = environment.get_bool("smtputf8_enable").value_or(false);
    std::erase_if(keywords, [&](const std::string& keyword) {
        if (keyword == "SMTPUTF8" && !utf8)
            return true;
        return std::ranges::any_of(
            discarded, [&](const std::string& word) { return equals_ignoring_case(word, keyword); });
    });
    const std::int64_t limit = environment.get_int("message_size_limit").value_or(0);
    if (limit > 0)
        size = size == 0 ? limit : std::min(size, limit);
    const bool has_logins = environment.get_bool("smtpd_sasl_auth_enable").value_or(false);
    auth_only |= has_logins && environment.get_bool("smtpd_tls_auth_only").value_or(false);
}

bool Offers::has(std::string_view keyword) const
{
    return std::ranges::find(keywords, keyword) != keywords.end();
}

std::vector<std::string> Offers::lines(std::string_view myhostname, bool starttls,
                                       std::string_view auth) const
{
    std::vector<std::string> text{std::string(myhostname)};
    for (const std::string& keyword : keywords)
        text.push_back(keyword == "SIZE" && size > 0 ? fmt::format("SIZE {}", size) : keyword);
    if (starttls)
        text.emplace_back("STARTTLS");
    if (!auth.empty())
        text.push_back(fmt::format("AUTH {}", auth));
    return text;
}

CommandOptions Offers::command_options() const
{
    CommandOptions options;
    options.size = has("SIZE");
    options.eightbit = has("8BITMIME");
    options.dsn = has("DSN");
    options.smtputf8 = has("SMTPUTF8");
    options.auth = true; // who is chosen decides
    return options;
}

} // namespace bulkhead
