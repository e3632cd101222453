#include "dns/system_files.h"

#include "base/text.h"

#include <algorithm>

namespace bulkhead::dns
{

namespace
{

constexpr std::size_t name_server_limit = 3; // MAXNS of resolv.conf(5)
constexpr std::size_t search_limit = 6;      // of it as well

// words(line) for each line, comments cut off.
template <typename Use> void each_line(std::string_view text, std::string_view comment_marks, Use use)
{
    for (std::string_view line : split(text, "\n")) {
        line = line.substr(0, line.find_first_of(comment_marks));
        const auto words = split(line, " \t\r");
        if (!words.empty())
            use(words);
    }
}

void apply_option(ResolvConf& conf, std::string_view option)
{
    const auto colon = option.find(':');
    if (colon == std::string_view::npos)
        return;
    const auto number = parse_unsigned(option.substr(colon + 1));
    if (!number)
        return;
    // The bounds that libc has for them.
    if (option.starts_with("timeout:"))
        conf.timeout = Seconds(std::clamp<std::uint64_t>(*number, 1, 30));
    else if (option.starts_with("attempts:"))
        conf.attempts = static_cast<int>(std::clamp<std::uint64_t>(*number, 1, 5));
}

} // namespace

ResolvConf parse_resolv_conf(std::string_view text)
{
    constexpr std::uint16_t domain_port = 53;
    ResolvConf conf;
    each_line(text, "#;", [&](const std::vector<std::string_view>& words) {
        if (words[0] == "options")
            std::ranges::for_each(words, [&](std::string_view word) { apply_option(conf, word); });
        if (words[0] == "search" || words[0] == "domain") {
            const auto end =
                words.begin() + static_cast<std::ptrdiff_t>(std::min(words.size(), search_limit + 1));
            conf.search.assign(words.begin() + 1, end);
        }
        if (words[0] != "nameserver" || words.size() < 2 || conf.name_servers.size() >= name_server_limit)
            return;
        if (const auto server = SocketAddress::parse(words[1].substr(0, words[1].find('%')), domain_port))
            conf.name_servers.push_back(*server);
    });
    if (conf.name_servers.empty())
        conf.name_servers.push_back(*SocketAddress::parse("127.0.0.1", domain_port));
    return conf;
}

HostsFile::HostsFile(std::string_view text)
{
    each_line(text, "#", [this](const std::vector<std::string_view>& words) {
        const auto address = SocketAddress::parse(words[0]);
        if (!address)
            return;
        for (std::size_t i = 1; i < words.size() && addresses_.size() < name_limit; ++i)
            addresses_[lower(words[i])].push_back(*address);
        if (words.size() > 1 && names_.size() < name_limit)
            names_.try_emplace(address->text(), words[1]);
    });
}

std::vector<SocketAddress> HostsFile::find(std::string_view name) const
{
    const auto found = addresses_.find(lower(name));
    if (found != addresses_.end())
        return found->second;
    if (equals_ignoring_case(name, "localhost") || ends_with_ignoring_case(name, ".localhost"))
        return {*SocketAddress::parse("127.0.0.1"), *SocketAddress::parse("::1")};
    return {};
}

std::string HostsFile::name_of(const SocketAddress& address) const
{
    const std::string text = address.text();
    const auto found = names_.find(text);
    if (found != names_.end())
        return found->second;
    return text == "127.0.0.1" || text == "::1" ? "localhost" : "";
}

bool native_lookup_uses_dns(std::string_view nsswitch_conf)
{
    bool said = false;
    bool dns = false;
    each_line(nsswitch_conf, "#", [&](const std::vector<std::string_view>& words) {
        if (words[0] != "hosts:" || said)
            return;
        said = true;
        dns = std::ranges::any_of(words,
                                  [](std::string_view word) { return word == "dns" || word == "resolve"; });
    });
    return dns || !said;
}

} // namespace bulkhead::dns
