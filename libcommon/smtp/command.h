// Commands of an SMTP client as a server reads them (RFC 5321, 4.1.1, with the
// parameters of RFC 1870, 6152, 3461, 4954 and 6531): bytes become typed values
// here, and a line that does not parse becomes the reply it deserves.
#pragma once

#include "mail/address.h"
#include "mail/dsn.h"
#include "smtp/reply.h"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

// A value, or the reply that refuses the command.
template <typename T> using Answer = std::expected<T, Reply>;

// The first word (as written) and what follows it, blanks around both removed.
// The views point into the line.
struct CommandLine {
    std::string_view verb;
    std::string_view arguments;

    bool is(std::string_view name) const; // any case
};
CommandLine split_command(std::string_view line);

// What the server offers in this session: a parameter of an extension that it
// does not offer is refused like an unknown one.
struct CommandOptions {
    bool strict = false; // strict_rfc821_envelopes
    bool size = true;
    bool eightbit = true;
    bool dsn = true;
    bool auth = false;
    bool smtputf8 = false;            // MAIL: offered; RCPT: asked for by this transaction's MAIL
    bool utf8_undeclared = false;     // addresses may have UTF-8 without it
    std::string_view verp_delimiters; // XVERP: the characters that may be some; empty: not offered
    std::size_t parameters = 20;      // at most so many in one command
};

enum class BodyType { none, seven_bit, eight_bit_mime };

struct MailCommand {
    Path sender;
    std::optional<std::uint64_t> size; // bytes, as declared
    BodyType body = BodyType::none;
    bool smtputf8 = false;
    Ret ret = Ret::none;
    std::string envid;               // decoded, empty if not given
    std::optional<std::string> auth; // decoded AUTH= (RFC 4954, 5), "<>" as it is
    std::optional<std::string> verp; // of XVERP: two delimiters, or empty for the usual ones
};

struct RcptCommand {
    Path recipient;
    unsigned notify = 0; // mask of mail/dsn.h, 0 if not given
    std::optional<OriginalRecipient> orcpt;
};

// arguments: what follows MAIL or RCPT ("FROM:<a@b> SIZE=1").
Answer<MailCommand> parse_mail(std::string_view arguments, const CommandOptions& options);
Answer<RcptCommand> parse_rcpt(std::string_view arguments, const CommandOptions& options);

// The host name of HELO or EHLO: any text that is not empty, made printable
// (whether it is a good name is a matter of policy).  verb is for the reply's text.
Answer<std::string> parse_helo(std::string_view verb, std::string_view arguments);

} // namespace bulkhead
