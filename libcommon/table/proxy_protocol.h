// The words between a program and proxymap: one netstring per request and reply, with
// netstrings for its fields inside.  Both ends in one place; no I/O.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace bulkhead
{

struct ProxyRequest {
    enum class Op { find, store, remove, after };
    Op op = Op::find;
    std::string table;           // "type:name", without "proxy:"
    bool fold_fixed_keys = true; // TableOptions
    bool fold_patterns = true;
    bool is_alias_source = false;
    std::string key; // after: of the entry before the one that is asked for; empty: the first
    std::string value;
};

struct ProxyReply {
    // done: store; found: find, remove and after.
    enum class Status { found, absent, done, broken, refused };
    Status status = Status::broken;
    std::string key;  // after
    std::string text; // the value, or why not
};

// Texts and messages longer than this are refused on both sides.
constexpr std::size_t proxy_message_limit = 900'000;

void append_message(std::string& out, const ProxyRequest& request);
void append_message(std::string& out, const ProxyReply& reply);

// The bytes of the message at the front; 0: its end has not come yet.  Fault::malformed
// and Fault::limit: what follows cannot be made sense of.
Result<std::size_t> end_of_proxy_message(std::string_view bytes);

// bytes: one whole message.
Result<ProxyRequest> parse_proxy_request(std::string_view bytes);
Result<ProxyReply> parse_proxy_reply(std::string_view bytes);

} // namespace bulkhead
