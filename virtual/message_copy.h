// One message on its way from the queue file into a mailbox: the lines of this
// delivery, then the content, in large writes.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct MessageCopy {
    int queue_file = -1;
    std::int64_t data_offset = 0;
    std::string sender;  // external form; empty: the null sender
    std::string headers; // Return-Path: and its kin, whole lines

    // Appends to fd.  More than `room` bytes: Fault::limit with EFBIG.  Damage of the
    // queue file: Fault::malformed.
    enum class Form { maildir, mbox };
    Result<> write_to(int fd, Form form, std::int64_t room) const;
};

// Return-Path:, X-Original-To: (if it is another address) and Delivered-To:.
// Addresses in external form.
std::string delivery_headers(std::string_view sender, std::string_view recipient, std::string_view original);

// The addresses of the message's Delivered-To: headers, lower case: it has been there.
Result<std::vector<std::string>> delivered_to(int queue_file, std::int64_t data_offset);

} // namespace bulkhead
