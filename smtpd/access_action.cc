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

constexpr std::array<Word, 15> words = {{
    {"OK", Kind::permit},
    {"RELAY", Kind::permit},
    {"DUNNO", Kind::undecided},
    {"REJECT", Kind::reject},
    {"DEFER", Kind::defer},
    {"DEFER_IF_PERMIT", Kind::defer_if_permit},
    {"DEFER_IF_REJECT", Kind::defer_if_reject},
    {"HOLD", Kind::hold},
    {"DISCARD", Kind::discard},
    {"WARN", Kind::warn},
    {"INFO", Kind::info},
    {"FILTER", Kind::filter},
    {"REDIRECT", Kind::redirect},
    {"BCC", Kind::bcc},
    {"PREPEND", Kind::prepend},
}};

// Kinds that become a reply: their text may begin with an enhanced status.
constexpr int reply_class(Kind kind)
{
    switch (kind) {
    case Kind::reject:
        return 5;
    case Kind::defer:
    case Kind::defer_if_permit:
    case Kind::defer_if_reject:
        return 4;
    default:
        return 0;
    }
}

// "5.7.9 text" apart.  A status of success is none; another class is put right.
void take_text(AccessAction& action, std::string_view text, int status_class)
{
    const auto [status, rest] = split_status(text);
    if (status && status->status_class != 2) {
        action.dsn = agreeing_status(status_class * 100, status->text());
        text = trim(rest);
    }
    action.text = text;
}

} // namespace

std::string agreeing_status(int code, std::string_view status)
{
    std::string agreed(status);
    if ((code / 100 == 4 || code / 100 == 5) && !agreed.empty())
        agreed[0] = static_cast<char>('0' + code / 100);
    return agreed;
}

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
        action.text = rest;
        if (const int status_class = reply_class(word.kind); status_class != 0)
            take_text(action, rest, status_class);
        return action;
    }
    action.kind = Kind::restrictions;
    action.text = value;
    return action;
}

} // namespace bulkhead
