// Mail addresses in two forms.  Internal: raw bytes, nothing quoted, as queue
// files and tables have them (a b@example.test).  External: quoted where RFC
// 5321 demands it, as the protocol and log lines show them ("a b"@example.test).
// Knows syntax only: nothing here asks DNS, tables or configuration.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

// Limits of RFC 5321, 4.5.3.1.  The local part's 64 is only what everybody must
// be able to handle: VERP senders of large mailers are longer every day.
constexpr std::size_t local_part_limit = 255;
constexpr std::size_t domain_limit = 255;
constexpr std::size_t label_limit = 63;

// The two sides of an internal address, at the last '@'; no '@': domain is
// empty and has_domain false.  The views point into the address.
struct AddressParts {
    std::string_view local;
    std::string_view domain;
    bool has_domain = false;
};
AddressParts split_address(std::string_view internal);

// "joe@a" and "+ext" -> "joe+ext@a".
std::string with_extension(std::string_view address, std::string_view extension);

// A local part cut at the first delimiter that is not its first byte.
// "owner-" and "-request" of mailing lists stay whole, and so do the names every
// site has (postmaster, mailer-daemon, double-bounce).  No extension: delimiter is 0.
struct LocalParts {
    std::string_view user;
    std::string_view extension;
    char delimiter = '\0';
};
LocalParts split_extension(std::string_view local, std::string_view delimiters);

// A quoted-string (RFC 5321, 4.1.2) where the local part is no dot-string, else
// the same text.  Bytes above 127 need no quotes (RFC 6531).
std::string quote_local_part(std::string_view local);

// Internal to external form and back.  unquote() fails on text that is no
// external address (open quote, bytes behind the closing one).
std::string external_form(std::string_view internal);
Result<std::string> unquote(std::string_view external);

// "[...]" of any content.
bool is_domain_literal(std::string_view domain);

// The address inside [1.2.3.4] or [IPv6:...] (also [::1]), without brackets and
// tag; nullopt if it is no such literal or the numbers are wrong.
std::optional<std::string> literal_address(std::string_view domain);

// Labels of 1 to 63 letters, digits, '-' or '_', 255 bytes in all, no trailing
// dot.  Bytes above 127 only where utf8 says so (they must be valid UTF-8).
bool is_valid_domain(std::string_view domain, bool utf8 = false);

struct PathOptions {
    bool strict = false;   // strict_rfc821_envelopes: brackets needed, no blank before them
    bool smtputf8 = false; // bytes above 127 allowed (valid UTF-8 needed)
};

// A reverse-path or forward-path: an internal address, empty for "<>".
struct Path {
    Path() = default;
    explicit Path(std::string internal) : address(std::move(internal)) {}

    bool is_null() const { return address.empty(); }
    std::string address;
};

// A path at the front of a MAIL or RCPT argument, and what follows it with
// leading blanks removed (a view into the text).
struct LeadingPath {
    LeadingPath(Path p, std::string_view r) : path(std::move(p)), rest(r) {}

    Path path;
    std::string_view rest;
};

// RFC 5321, 4.1.2: "<a@b>", "<>", "<@relay,@relay:a@b>" (the route is dropped),
// address literals, bare local parts ("<postmaster>").  Fault::malformed with a
// text short enough for a log line; peer bytes are not repeated in it.
Result<LeadingPath> parse_leading_path(std::string_view text, const PathOptions& options);

// The same, when nothing but blanks may follow.
Result<Path> parse_path(std::string_view text, const PathOptions& options);

} // namespace bulkhead
