// The queue as text: the table of mailq and the JSON lines of postqueue -j.  Values in,
// text out.
#pragma once

#include "ipc/showq.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead
{

// The table in the format of log-format.md section 9.
class MailqTable
{
public:
    // long_ids: columns for enable_long_queue_ids.  null_sender: shown for the empty address.
    MailqTable(bool long_ids, std::string null_sender)
        : long_ids_(long_ids), null_sender_(std::move(null_sender))
    {
    }

    // The lines of one message; before the first one the heading.
    std::string add(const ipc::ShownMessage& message);
    // The last line, or that there is nothing.
    std::string end() const;

private:
    std::string heading() const;

    bool long_ids_;
    std::string null_sender_;
    std::size_t messages_ = 0;
    std::int64_t bytes_ = 0;
};

// One line, with its LF.
std::string json_line(const ipc::ShownMessage& message, std::string_view null_sender);

// "text" in quotes; control characters escaped, bytes that are no UTF-8 become '?'.
std::string json_string(std::string_view text);

// External form of an internal address, `null_address` for the empty one.
std::string shown_address(std::string_view internal, std::string_view null_address);

} // namespace bulkhead
