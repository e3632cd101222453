// One message on its way from the queue file into a mailbox: the lines of this
// delivery, then the content, in large writes.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// How the text leaves the queue file.
struct CopyForm {
    bool from_line = false;         // "From sender  date" in front
    bool quote_from = false;        // ">From " for lines of the content that begin with "From "
    bool quote_dots = false;        // ".." for lines of the content that begin with "."
    bool blank_line_at_end = false; // what separates messages in a mailbox file
    std::string eol = "\n";

    static CopyForm maildir() { return {}; }
    static CopyForm mbox() { return {.from_line = true, .quote_from = true, .blank_line_at_end = true}; }
};

struct MessageCopy {
    int queue_file = -1;
    std::int64_t data_offset = 0;
    std::string sender;  // external form; empty: the null sender
    std::string headers; // Return-Path: and its kin, whole lines

    // Appends to fd.  More than `room` bytes: Fault::limit with EFBIG.  Damage of the
    // queue file: Fault::malformed.
    Result<> write_to(int fd, const CopyForm& form, std::int64_t room) const;

    // The same in blocks to somebody else, who may refuse to take more.
    using Sink = std::function<Result<>(std::string_view block)>;
    Result<> write_to(const Sink& sink, const CopyForm& form) const;
};

// The lines at the head of a copy.  Addresses in external form; what is empty is left out.
struct DeliveryHeaders {
    std::optional<std::string> return_path; // "" is the null sender
    std::string original;                   // X-Original-To:
    std::string delivered_to;               // Delivered-To:

    std::string text() const;
};

// Return-Path:, X-Original-To: and Delivered-To:.  Addresses in external form.
std::string delivery_headers(std::string_view sender, std::string_view recipient, std::string_view original);

// The addresses of the message's Delivered-To: headers, lower case: it has been there.
Result<std::vector<std::string>> delivered_to(int queue_file, std::int64_t data_offset);

} // namespace bulkhead
