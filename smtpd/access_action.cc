#include "access_action.h"

#include "base/text.h"
#include "mail/dsn.h"

#include <algorithm>
#include <array>

namespace bulkhead
{

namespace
{

using Kind = AccessAction::Kind;

struct Word {
    std::string_view name;
    Kind kind;
};

constexpr std::array<Word, 5> words = {{
    {"OK", Kind::permit},
    {"RELAY", Kind::permit},
    {"DUNNO", Kind::undecided},
    {"REJECT", Kind::reject},
    {"DEFER", Kind::defer},
}};

// "5.7.9 text" apart, where the class fits the kind of answer (5 or 4).
void take_text(AccessAction& action, std::string_view text, int status_class)
{
    const auto [status, rest] = split_status(text);
    if (status && status->status_class == status_class) {
        action.dsn = status->text();
        text = trim(rest);
    }
    action.text = text;
}

} // namespace

AccessAction parse_access_action(std::string_view value)
{
    value = trim(value);
    const auto end = std::min(value.find_first_of(" \t"), value.size());
    const std::string_view first = value.substr(0, end);
    const std::string_view rest = trim(value.substr(end));
    AccessAction action;
    if (!value.empty() && std::ranges::all_of(value, is_digit)) {
        action.kind = Kind::permit;
        return action;
    }
    if (first.size() == 3 && std::ranges::all_of(first, is_digit) && (first[0] == '4' || first[0] == '5')) {
        action.kind = Kind::reply;
        action.code = static_cast<int>(*parse_unsigned(first));
        take_text(action, rest, first[0] - '0');
        return action;
    }
    for (const Word& word : words) {
        if (!equals_ignoring_case(first, word.name))
            continue;
        action.kind = word.kind;
        if (word.kind == Kind::reject || word.kind == Kind::defer)
            take_text(action, rest, word.kind == Kind::reject ? 5 : 4);
        return action;
    }
    action.kind = Kind::restrictions;
    action.text = value;
    return action;
}

} // namespace bulkhead
