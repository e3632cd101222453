#include "access_list.h"

#include "base/text.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

std::optional<Access> access_word(std::string_view word)
{
    if (equals_ignoring_case(word, "permit") || equals_ignoring_case(word, "ok"))
        return Access::permit;
    if (equals_ignoring_case(word, "reject"))
        return Access::reject;
    if (equals_ignoring_case(word, "dunno"))
        return Access::undecided;
    return std::nullopt;
}

Result<AccessList> AccessList::open(const std::vector<std::string>& words, const std::string& mynetworks)
{
    AccessList list;
    for (const std::string& word : words) {
        Element element;
        if (equals_ignoring_case(word, "permit_mynetworks")) {
            ListOptions options;
            options.kind = ListKind::addresses;
            options.parameter = "mynetworks";
            TRY(MatchList networks, MatchList::open(mynetworks, options));
            element.answer = Access::permit;
            element.networks = std::make_unique<MatchList>(std::move(networks));
        } else if (const auto answer = access_word(word)) {
            element.answer = *answer;
        } else if (word.find(':') != word.npos) {
            element.table = open_table_or_unavailable(word);
        } else {
            return Error{Fault::config, fmt::format("unknown word \"{}\"", printable(word))};
        }
        list.elements_.push_back(std::move(element));
    }
    return list;
}

Access AccessList::ask_table(Table& table, std::string_view address, std::string& reason)
{
    const Lookup found = table.find(address);
    if (found.is_absent())
        return Access::undecided;
    if (found.is_broken()) {
        reason = found.reason();
        return Access::broken;
    }
    const auto answer = access_word(trim(found.value()));
    if (answer)
        return *answer;
    reason =
        fmt::format("{}: {} has the unknown answer \"{}\"", table.spec(), address, printable(found.value()));
    return Access::broken;
}

Access AccessList::find(std::string_view address, std::string& reason) const
{
    for (const Element& element : elements_) {
        Access answer = element.answer;
        if (element.table) {
            answer = ask_table(*element.table, address, reason);
        } else if (element.networks) {
            const ListMatch match = element.networks->match(address);
            if (match.is_broken()) {
                reason = match.reason;
                return Access::broken;
            }
            answer = match ? Access::permit : Access::undecided;
        } else if (answer == Access::undecided) {
            return answer; // dunno ends the list
        }
        if (answer != Access::undecided)
            return answer;
    }
    return Access::undecided;
}

bool AccessList::may_block() const
{
    return std::ranges::any_of(elements_, [](const Element& element) {
        return (element.table && element.table->may_block()) ||
               (element.networks && element.networks->may_block());
    });
}

bool AccessList::is_stale() const
{
    return std::ranges::any_of(elements_, [](const Element& element) {
        return (element.table && element.table->is_stale()) ||
               (element.networks && element.networks->is_stale());
    });
}

} // namespace bulkhead
