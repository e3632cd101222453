// Words of delivery status: xtext, NOTIFY, RET, ENVID and ORCPT of RFC 3461 and
// the enhanced status codes of RFC 3463.
#pragma once

#include "base/dsn_flags.h"
#include "base/result.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

// RFC 3461, section 4.  Decoding refuses bare '=' and bytes outside printable
// ASCII, and encoded NUL or control characters: they would end up in log files
// and in other protocols.  utf8 lets valid raw UTF-8 pass (RFC 6533).
std::string encode_xtext(std::string_view text);
Result<std::string> decode_xtext(std::string_view text, bool utf8 = false);

// "NEVER", or a list of SUCCESS, FAILURE, DELAY; any case.
Result<unsigned> parse_notify(std::string_view text);

// The mask as it is sent on: "NEVER", "SUCCESS,DELAY"; empty for 0.
std::string notify_text(unsigned mask);

enum class Ret { none = 0, full = 1, headers = 2 };
Result<Ret> parse_ret(std::string_view text);
std::string_view ret_text(Ret ret); // "FULL", "HDRS", ""

constexpr std::size_t envid_limit = 100; // RFC 3461, 4.4, before decoding
constexpr std::size_t orcpt_limit = 500; // RFC 3461, 4.2, before decoding

// The decoded envelope id.
Result<std::string> parse_envid(std::string_view text);

// ORCPT, decoded: "rfc822" and "user@example.test".
struct OriginalRecipient {
    std::string type;
    std::string address;

    std::string text() const { return type + ';' + address; } // as queue files hold it
};
Result<OriginalRecipient> parse_orcpt(std::string_view text, bool utf8 = false);

// The value for an outgoing ORCPT= from "type;address" as queue files hold it.
std::string encode_orcpt(std::string_view stored);

// class.subject.detail (RFC 3463).
struct EnhancedStatus {
    int status_class = 0; // 2, 4 or 5
    int subject = 0;      // 0..999
    int detail = 0;       // 0..999

    std::string text() const;
    bool operator==(const EnhancedStatus&) const = default;
};

std::optional<EnhancedStatus> parse_status(std::string_view text);

// "5.1.1 no such user" -> 5.1.1 and "no such user"; the rest is the whole text
// if it starts with no status code.  The view points into text.
struct StatusAndText {
    std::optional<EnhancedStatus> status;
    std::string_view rest;
};
StatusAndText split_status(std::string_view text);

} // namespace bulkhead
