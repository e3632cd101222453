// header_checks and its relatives (header_checks(5)): the tables, and what their
// right-hand sides ask for.  What is done about it is the caller's: see inspector.h.
#pragma once

#include "table/table.h"

#include <string>
#include <string_view>

namespace bulkhead
{

enum class CheckAction : unsigned char {
    dunno,
    bcc,
    discard,
    filter,
    hold,
    ignore,
    info,
    pass,
    prepend,
    redirect,
    reject,
    replace,
    strip,
    warn,
    unknown, // no action that we know, or one without what it needs
    broken,  // the table failed
};

// The word that log lines have: "reject", "warning", "hold".
std::string_view log_word(CheckAction action);

constexpr unsigned bit_of(CheckAction action)
{
    return 1u << static_cast<unsigned>(action);
}
inline constexpr unsigned all_check_actions = ~0u;
// smtp_header_checks: a message on its way out can be changed, not judged.
inline constexpr unsigned delivery_check_actions = bit_of(CheckAction::dunno) | bit_of(CheckAction::ignore) |
                                                   bit_of(CheckAction::info) | bit_of(CheckAction::prepend) |
                                                   bit_of(CheckAction::replace) | bit_of(CheckAction::strip) |
                                                   bit_of(CheckAction::warn);
// milter_header_checks: the header is the milter's.
inline constexpr unsigned milter_check_actions =
    all_check_actions & ~(bit_of(CheckAction::ignore) | bit_of(CheckAction::prepend) |
                          bit_of(CheckAction::replace) | bit_of(CheckAction::strip));

struct CheckAnswer {
    CheckAction action = CheckAction::dunno;
    std::string text; // behind the action's word; for unknown: the whole right-hand side
};

// allowed: bits of the actions that may be used here; others are unknown.
CheckAnswer parse_check_answer(std::string_view value, unsigned allowed = all_check_actions);

enum class HeaderClass : unsigned char { primary, mime, nested };

// Four lists of tables.  Opened before the jail.
class ContentChecks
{
public:
    ContentChecks() = default;

    struct Specs {
        std::string header;
        std::string mime;
        std::string nested;
        std::string body;
        std::string prefix; // of the parameters' names in log lines: "smtp_"
        unsigned allowed = all_check_actions;
    };
    static ContentChecks open(const Specs& specs);

    bool empty() const { return !has_headers() && body_.empty(); }
    bool has_headers() const
    {
        return has(HeaderClass::primary) || has(HeaderClass::mime) || has(HeaderClass::nested);
    }
    bool has(HeaderClass which) const { return !headers_[static_cast<std::size_t>(which)].empty(); }
    bool has_body() const { return !body_.empty(); }
    bool may_block() const;
    bool is_stale() const;

    // The text of one header, unfolded; one line of a body.
    CheckAnswer header(HeaderClass which, std::string_view text);
    CheckAnswer body(std::string_view line);

    // "smtp_mime_header_checks"
    std::string name(HeaderClass which) const;
    std::string body_name() const { return prefix_ + "body_checks"; }

private:
    CheckAnswer ask(TableList& tables, std::string_view text) const;

    TableList headers_[3];
    TableList body_;
    std::string prefix_;
    unsigned allowed_ = all_check_actions;
};

} // namespace bulkhead
