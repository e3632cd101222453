#include "config/master_cf.h"

#include "base/text.h"
#include "config/logical_lines.h"
#include "config/main_cf.h"
#include "config/values.h"
#include "os/files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <span>

namespace bulkhead
{

namespace
{

constexpr std::array<std::pair<std::string_view, ServiceType>, 5> service_types{{
    {"inet", ServiceType::inet},
    {"unix", ServiceType::unix_stream},
    {"unix-dgram", ServiceType::unix_dgram},
    {"fifo", ServiceType::fifo},
    {"pass", ServiceType::pass},
}};

Error bad(std::string reason)
{
    return {Fault::config, std::move(reason)};
}

// Where the brace at the front of word closes; its braces are balanced.
std::size_t closing_brace(std::string_view word)
{
    int depth = 0;
    for (std::size_t i = 0; i < word.size(); ++i) {
        depth += word[i] == '{' ? 1 : word[i] == '}' ? -1 : 0;
        if (depth == 0)
            return i;
    }
    return word.size() - 1;
}

// The end of a word at the front of text: the next blank that stands in no braces.
// npos: a brace stays open.
std::size_t end_of_word(std::string_view text)
{
    int depth = 0;
    std::size_t end = 0;
    for (; end < text.size() && (depth > 0 || !(is_blank(text[end]) || text[end] == '\r')); ++end)
        if (text[end] == '{')
            ++depth;
        else if (text[end] == '}' && depth > 0)
            --depth;
    return depth > 0 ? text.npos : end;
}

// Words between blanks; braces keep blanks together wherever they stand: {a b}, argv={a b},
// ${name?{a b}}.  A word that begins with { ends with its matching }.
Result<std::vector<std::string>> split_words(std::string_view text)
{
    std::vector<std::string> words;
    while (true) {
        text.remove_prefix(std::min(text.find_first_not_of(" \t\r"), text.size()));
        if (text.empty())
            return words;
        const std::size_t end = end_of_word(text);
        if (end == text.npos)
            return bad("no '}' that closes '{'");
        const std::string_view word = text.substr(0, end);
        if (word.front() == '{' && closing_brace(word) + 1 < word.size())
            return bad(
                fmt::format("text after '}}': \"{}\"", printable(text.substr(closing_brace(word) + 1, 40))));
        if (words.size() >= MasterCf::argument_limit)
            return bad(fmt::format("more than {} words", MasterCf::argument_limit));
        words.emplace_back(word);
        text.remove_prefix(end);
    }
}

Result<bool> yes_or_no(const std::string& word, std::string_view field, bool fallback)
{
    if (word == "-")
        return fallback;
    if (word == "y" || word == "n")
        return word == "y";
    return bad(fmt::format("field \"{}\": bad value: \"{}\", want y, n or -", field, printable(word)));
}

Result<int> number(std::string_view word, std::string_view field)
{
    const auto value = parse_unsigned(word);
    if (!value || *value > static_cast<std::uint64_t>(std::numeric_limits<int>::max()))
        return bad(
            fmt::format("field \"{}\": bad value: \"{}\", want a number or -", field, printable(word)));
    return static_cast<int>(*value);
}

Result<> check_name(const ServiceEntry& entry)
{
    if (entry.type == ServiceType::inet) {
        TRY_VOID(InetEndpoint::parse(entry.name));
        return {};
    }
    const auto parts = split(entry.name, "/");
    if (entry.name.starts_with('/') || std::ranges::find(parts, "..") != parts.end())
        return bad(fmt::format("bad service name: \"{}\"", printable(entry.name)));
    return {};
}

// -o, -v and -D in front of the other arguments, as getopt would see them.
Result<> parse_arguments(ServiceEntry& entry)
{
    const auto& words = entry.written_arguments;
    bool options_end = false;
    for (std::size_t i = 0; i < words.size(); ++i) {
        std::string word(without_braces(words[i]));
        if (options_end || word.size() < 2 || word.front() != '-') {
            options_end = true;
            entry.plain_arguments.push_back(word);
            entry.arguments.push_back(std::move(word));
        } else if (word.starts_with("-o")) {
            std::string text = word.substr(2);
            if (text.empty()) {
                if (++i == words.size())
                    return bad("-o without a parameter");
                text = without_braces(words[i]);
            }
            auto assignment = parse_assignment(text);
            if (!assignment)
                return bad(fmt::format("-o: {}", assignment.error().context));
            entry.overrides.push_back(assignment->first + "=" + assignment->second);
            entry.arguments.emplace_back("-o");
            entry.arguments.push_back(entry.overrides.back());
        } else {
            const bool verbose = word.find_first_not_of('v', 1) == word.npos;
            if (verbose)
                entry.verbosity += static_cast<int>(word.size()) - 1;
            else if (word == "-D")
                entry.debugger = true;
            else
                entry.plain_arguments.push_back(word);
            entry.arguments.push_back(std::move(word));
        }
    }
    return {};
}

Result<ServiceEntry> parse_entry(std::string_view text, CompatibilityLevel level)
{
    TRY(std::vector<std::string> words, split_words(text));
    static constexpr std::array<std::string_view, 8> fields{"service name",  "service type", "private",
                                                            "unprivileged",  "chroot",       "wakeup",
                                                            "process_limit", "command"};
    if (words.size() < fields.size())
        return bad(fmt::format("missing \"{}\" field", fields[words.size()]));

    ServiceEntry entry;
    entry.columns.assign(words.begin(), words.begin() + fields.size());
    entry.written_arguments.assign(words.begin() + fields.size(), words.end());
    entry.name = words[0];
    const auto type = parse_service_type(words[1]);
    if (!type)
        return bad(fmt::format("bad transport type: {}", printable(words[1])));
    entry.type = *type;
    TRY_VOID(check_name(entry));
    TRY(entry.is_private, yes_or_no(words[2], fields[2], true));
    if (entry.type == ServiceType::inet)
        entry.is_private = false;
    TRY(entry.unprivileged, yes_or_no(words[3], fields[3], true));
    TRY(entry.chroot, yes_or_no(words[4], fields[4], level < CompatibilityLevel{1}));

    std::string_view wakeup = words[5];
    if (wakeup != "-") {
        entry.wakeup_only_if_used = wakeup.ends_with('?');
        if (entry.wakeup_only_if_used)
            wakeup.remove_suffix(1);
        TRY(const int seconds, number(wakeup, fields[5]));
        entry.wakeup = Seconds(seconds);
    }
    if (words[6] != "-") {
        TRY(entry.process_limit, number(words[6], fields[6]));
    }
    entry.command = words[7];
    const auto parts = split(entry.command, "/");
    if (std::ranges::find(parts, "..") != parts.end())
        return bad(fmt::format("bad command: \"{}\"", printable(entry.command)));
    TRY_VOID(parse_arguments(entry));
    return entry;
}

} // namespace

std::string_view service_type_name(ServiceType type)
{
    return service_types[static_cast<std::size_t>(type)].first;
}

std::optional<ServiceType> parse_service_type(std::string_view text)
{
    for (const auto& [name, type] : service_types)
        if (name == text)
            return type;
    return std::nullopt;
}

Result<InetEndpoint> InetEndpoint::parse(std::string_view name)
{
    InetEndpoint endpoint;
    const Error bad_name = bad(fmt::format("bad host:port in service name: \"{}\"", printable(name)));
    std::string_view port = name;
    if (name.starts_with('[')) {
        const auto close = name.find(']');
        if (close == name.npos || name.substr(close + 1, 1) != ":")
            return bad_name;
        endpoint.host = name.substr(1, close - 1);
        port = name.substr(close + 2);
    } else if (const auto colon = name.rfind(':'); colon != name.npos) {
        endpoint.host = name.substr(0, colon);
        port = name.substr(colon + 1);
        if (endpoint.host.find(':') != endpoint.host.npos)
            return bad_name;
    }
    if (port.empty() || port.find_first_of("[]:/ ") != port.npos || name.starts_with("[]"))
        return bad_name;
    constexpr std::uint64_t highest_port = 65535;
    if (is_digit(port.front())) {
        const auto value = parse_unsigned(port);
        if (!value || *value == 0 || *value > highest_port)
            return bad_name;
    }
    endpoint.port = port;
    return endpoint;
}

std::string ServiceEntry::place() const
{
    return fmt::format("{}: line {}", file, line);
}

std::string ServiceEntry::identity() const
{
    return fmt::format("{}/{}", name, service_type_name(type));
}

Result<MasterCf> MasterCf::read(const std::string& path, CompatibilityLevel level)
{
    TRY(const std::string text, read_file(path, size_limit));
    return parse(text, path, level);
}

Result<MasterCf> MasterCf::parse(std::string_view text, std::string_view file, CompatibilityLevel level)
{
    MasterCf master;
    std::map<std::string, std::size_t> seen;
    if (text.size() > size_limit)
        return Error{Fault::limit, fmt::format("{}: file is larger than {} bytes", file, size_limit)};
    LogicalLines lines(text);
    while (lines.next()) {
        if (is_blank(lines.text().front())) {
            master.warnings.push_back(fmt::format("{}: line {}: begins with a blank but continues no service",
                                                  file, lines.number()));
            continue;
        }
        auto entry = parse_entry(lines.text(), level);
        if (!entry)
            return Error{Fault::config,
                         fmt::format("{}: line {}: {}", file, lines.number(), entry.error().context)};
        entry->file = file;
        entry->line = lines.number();
        const auto [it, is_new] = seen.emplace(entry->identity(), master.services.size());
        if (is_new) {
            master.services.push_back(std::move(*entry));
        } else {
            ServiceEntry& earlier = master.services[it->second];
            master.warnings.push_back(fmt::format("{}: duplicate service {}, replaces the one on line {}",
                                                  entry->place(), it->first, earlier.line));
            earlier = std::move(*entry);
        }
        if (master.services.size() > count_limit)
            return Error{Fault::limit, fmt::format("{}: more than {} services", file, count_limit)};
    }
    return master;
}

const ServiceEntry* MasterCf::find(std::string_view name, ServiceType type) const
{
    const auto it =
        std::ranges::find_if(services, [&](const auto& s) { return s.name == name && s.type == type; });
    return it == services.end() ? nullptr : &*it;
}

bool is_disabled(const ServiceEntry& service, const std::vector<std::string>& disable_list)
{
    const std::string_view type = service_type_name(service.type);
    return std::ranges::any_of(disable_list, [&](const std::string& element) {
        return element == type || element == "all" || element == service.identity();
    });
}

} // namespace bulkhead
