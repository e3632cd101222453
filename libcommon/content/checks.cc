#include "content/checks.h"

#include "base/text.h"

#include <algorithm>
#include <array>

namespace bulkhead
{

namespace
{

struct Word {
    std::string_view name;
    CheckAction action;
    bool needs_text;
    std::string_view in_log;
};

constexpr std::array<Word, 14> words = {{
    {"DUNNO", CheckAction::dunno, false, ""},
    {"BCC", CheckAction::bcc, true, "bcc"},
    {"DISCARD", CheckAction::discard, false, "discard"},
    {"FILTER", CheckAction::filter, true, "filter"},
    {"HOLD", CheckAction::hold, false, "hold"},
    {"IGNORE", CheckAction::ignore, false, ""},
    {"INFO", CheckAction::info, false, "info"},
    {"PASS", CheckAction::pass, false, "pass"},
    {"PREPEND", CheckAction::prepend, true, "prepend"},
    {"REDIRECT", CheckAction::redirect, true, "redirect"},
    {"REJECT", CheckAction::reject, false, "reject"},
    {"REPLACE", CheckAction::replace, true, "replace"},
    {"STRIP", CheckAction::strip, false, "strip"},
    {"WARN", CheckAction::warn, false, "warning"},
}};

} // namespace

std::string_view log_word(CheckAction action)
{
    const auto found = std::ranges::find(words, action, &Word::action);
    return found == words.end() ? std::string_view() : found->in_log;
}

CheckAnswer parse_check_answer(std::string_view value, unsigned allowed)
{
    value = trim(value);
    const std::size_t end = std::min(value.find_first_of(" \t"), value.size());
    const std::string_view text = trim(value.substr(end));
    for (const Word& word : words) {
        if (!equals_ignoring_case(value.substr(0, end), word.name))
            continue;
        if (!(allowed & bit_of(word.action)) || (word.needs_text && text.empty()))
            break;
        // FILTER transport:destination, REDIRECT and BCC an address.
        const bool good = (word.action != CheckAction::filter || text.find(':') != text.npos) &&
                          ((word.action != CheckAction::redirect && word.action != CheckAction::bcc) ||
                           text.find('@') != text.npos);
        if (!good)
            break;
        return {word.action, std::string(text)};
    }
    // The old way to say DUNNO.
    if (equals_ignoring_case(value.substr(0, end), "OK"))
        return {};
    return {CheckAction::unknown, std::string(value)};
}

ContentChecks ContentChecks::open(const Specs& specs)
{
    ContentChecks checks;
    checks.headers_[0] = TableList::open(specs.header);
    checks.headers_[1] = TableList::open(specs.mime);
    checks.headers_[2] = TableList::open(specs.nested);
    checks.body_ = TableList::open(specs.body);
    checks.prefix_ = specs.prefix;
    checks.allowed_ = specs.allowed;
    return checks;
}

bool ContentChecks::may_block() const
{
    return body_.may_block() || std::ranges::any_of(headers_, &TableList::may_block);
}

bool ContentChecks::is_stale() const
{
    return body_.is_stale() || std::ranges::any_of(headers_, &TableList::is_stale);
}

std::string ContentChecks::name(HeaderClass which) const
{
    static constexpr std::array<std::string_view, 3> names = {"header_checks", "mime_header_checks",
                                                              "nested_header_checks"};
    return prefix_ + std::string(names[static_cast<std::size_t>(which)]);
}

CheckAnswer ContentChecks::header(HeaderClass which, std::string_view text)
{
    return ask(headers_[static_cast<std::size_t>(which)], text);
}

CheckAnswer ContentChecks::body(std::string_view line)
{
    return ask(body_, line);
}

CheckAnswer ContentChecks::ask(TableList& tables, std::string_view text) const
{
    if (tables.empty() || text.empty())
        return {};
    const Lookup answer = tables.find(text);
    if (answer.is_absent())
        return {};
    if (answer.is_broken())
        return {CheckAction::broken, answer.reason()};
    return parse_check_answer(answer.value(), allowed_);
}

} // namespace bulkhead
