#include "table/domain_list.h"

#include "base/text.h"
#include "config/logical_lines.h"
#include "config/values.h"
#include "log/log.h"
#include "os/files.h"
#include "table/decision.h"
#include "table/file_watch.h"
#include "table/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <ranges>
#include <utility>

namespace bulkhead
{

// One of: a table, a network, a literal, or what could not be read.
struct MatchList::Element {
    bool negated = false;
    std::string text;       // as written
    std::string unreadable; // why
    std::unique_ptr<Table> table;
    std::optional<IpNetwork> network;
    std::string literal;
    FileWatch watch; // of the file that the element came from

    ListMatch match(std::string_view name, const ListOptions& options) const;
    ListMatch ask_table(std::string_view name, const ListOptions& options) const;
};

MatchList::MatchList() = default;
MatchList::MatchList(MatchList&&) noexcept = default;
MatchList& MatchList::operator=(MatchList&&) noexcept = default;
MatchList::~MatchList() = default;

namespace
{

// "type:name", as opposed to an IPv6 address or a plain word.
bool is_table(std::string_view element)
{
    const auto colon = element.find(':');
    return colon != element.npos && colon > 0 && element.front() != '[' &&
           element.substr(0, colon).find_first_of("./") == element.npos;
}

constexpr int file_nesting_limit = 5;

} // namespace

Result<MatchList> MatchList::open(std::string_view list, const ListOptions& options)
{
    struct Pending {
        std::string element;
        int depth;
    };
    MatchList result;
    result.options_ = options;
    // Who comes to this element gets no answer: neither "on the list" nor "not on it" is safe.
    const auto add_unreadable = [&](std::string reason) {
        log::warn(options.parameter.empty() ? reason : fmt::format("{}: {}", options.parameter, reason));
        Element element;
        element.unreadable = std::move(reason);
        result.elements_.push_back(std::move(element));
    };

    // Files put their lines in their own place, so the list is worked off from its end.
    std::vector<Pending> pending;
    for (std::string& element : parse_list(list))
        pending.push_back({std::move(element), 0});
    std::ranges::reverse(pending);
    bool next_negated = false;
    while (!pending.empty()) {
        const Pending item = std::move(pending.back());
        pending.pop_back();
        std::string_view text = item.element;
        Element element;
        element.text = item.element;
        element.negated = std::exchange(next_negated, false);
        while (text.starts_with('!')) {
            element.negated = !element.negated;
            text.remove_prefix(1);
        }
        if (text.empty()) { // "! element"
            next_negated = element.negated;
            continue;
        }
        if (text.starts_with('/')) {
            if (item.depth >= file_nesting_limit) {
                add_unreadable(
                    fmt::format("{}: files are nested more than {} deep", text, file_nesting_limit));
                continue;
            }
            const std::string path(text);
            auto content = read_file(path);
            if (!content) {
                add_unreadable(content.error().context);
                continue;
            }
            std::vector<std::string> inner;
            LogicalLines lines(*content);
            while (lines.next())
                for (std::string& word : parse_list(lines.text()))
                    inner.push_back(element.negated ? "!" + word : std::move(word));
            for (std::string& word : inner | std::views::reverse)
                pending.push_back({std::move(word), item.depth + 1});
            // A marker without pattern keeps an eye on the file itself.
            if (auto watch = FileWatch::open(path)) {
                element.watch = *std::move(watch);
                result.elements_.push_back(std::move(element));
            }
            continue;
        }
        if (options.kind == ListKind::addresses || options.kind == ListKind::hosts) {
            if (auto network = IpNetwork::parse(text)) {
                element.network = *network;
            } else if (options.kind == ListKind::addresses && !is_table(text)) {
                add_unreadable(network.error().context);
                continue;
            }
        }
        if (!element.network && is_table(text)) {
            element.table = open_table_or_unavailable(text);
        } else if (!element.network) {
            element.literal = lower(text);
        }
        result.elements_.push_back(std::move(element));
    }
    return result;
}

// The name itself, and for domains what covers its parents.
ListMatch MatchList::Element::ask_table(std::string_view name, const ListOptions& options) const
{
    std::vector<std::string> keys{std::string(name)};
    if ((options.kind == ListKind::domains || options.kind == ListKind::hosts) && table->has_fixed_keys())
        for (auto dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1))
            keys.emplace_back(name.substr(options.parent_matches_subdomains ? dot + 1 : dot));
    for (const std::string& key : keys) {
        const Lookup answer = table->find(key);
        if (answer.is_broken())
            return {Membership::broken, answer.reason()};
        if (answer.is_found())
            return {Membership::yes, {}};
    }
    return {};
}

ListMatch MatchList::Element::match(std::string_view name, const ListOptions& options) const
{
    if (!unreadable.empty())
        return {Membership::broken, unreadable};
    if (table)
        return ask_table(name, options);
    bool matches = false;
    if (network) {
        const auto address = IpAddress::parse(name);
        matches = address && network->contains(*address);
    } else if (!literal.empty()) {
        matches = literal == name;
        if (!matches && options.kind != ListKind::strings && name.ends_with(literal) &&
            name.size() > literal.size())
            matches = literal.front() == '.' ||
                      (options.parent_matches_subdomains && name[name.size() - literal.size() - 1] == '.');
    }
    return {matches ? Membership::yes : Membership::no, {}};
}

ListMatch MatchList::match(std::string_view name) const
{
    return match_either(name, {});
}

ListMatch MatchList::match_either(std::string_view name, std::string_view address) const
{
    const std::string keys[] = {lower(name), lower(address)};
    for (const Element& element : elements_) {
        for (const std::string& key : keys) {
            if (&key != &keys[0] && key.empty())
                continue;
            ListMatch answer = element.match(key, options_);
            if (answer.is_broken())
                return {Membership::broken, options_.parameter.empty()
                                                ? answer.reason
                                                : fmt::format("{}: {}", options_.parameter, answer.reason)};
            if (answer && !options_.parameter.empty())
                tell_decision({options_.parameter, element.text, key, element.negated ? "no" : "yes"});
            if (answer)
                return {element.negated ? Membership::no : Membership::yes, {}};
        }
    }
    return {};
}

bool MatchList::empty() const
{
    return std::ranges::none_of(elements_, [](const Element& e) {
        return e.table || e.network || !e.literal.empty() || !e.unreadable.empty();
    });
}

bool MatchList::may_block() const
{
    return std::ranges::any_of(elements_, [](const Element& e) { return e.table && e.table->may_block(); });
}

bool MatchList::is_stale() const
{
    return std::ranges::any_of(
        elements_, [](const Element& e) { return e.watch.changed() || (e.table && e.table->is_stale()); });
}

} // namespace bulkhead
