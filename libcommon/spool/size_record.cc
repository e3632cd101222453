#include "spool/size_record.h"

#include "base/text.h"
#include "spool/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace bulkhead
{

void append_size_record(std::string& out, const MessageSizes& sizes)
{
    std::array<char, 160> digits;
    const auto end = fmt::format_to(digits.data(), "{:15} {:15} {:15} {:15} {:15} {:15}", sizes.content_bytes,
                                    sizes.data_offset, sizes.recipients, sizes.qmgr_flags,
                                    sizes.content_length, sizes.send_options);
    append_record(out, RecordType::size, {digits.data(), static_cast<std::size_t>(end - digits.data())});
}

Result<ParsedSizes> parse_size_record(std::string_view data)
{
    // More fields than we know would be a newer writer's: what we know comes first.
    std::array<std::int64_t, 6> numbers{};
    std::size_t count = 0;
    while (count < numbers.size()) {
        data.remove_prefix(std::min(data.find_first_not_of(' '), data.size()));
        if (data.empty())
            break;
        const std::size_t end = std::min(data.find(' '), data.size());
        const auto number = parse_unsigned(data.substr(0, end));
        if (!number || *number > INT64_MAX / 4)
            return Error{Fault::malformed, "bad number in the size record"};
        numbers[count++] = static_cast<std::int64_t>(*number);
        data.remove_prefix(end);
    }
    if (count == 0 || count == 2)
        return Error{Fault::malformed, "fields are missing in the size record"};

    ParsedSizes parsed;
    parsed.needs_scan = count == 1;
    parsed.sizes.content_bytes = numbers[0];
    parsed.sizes.data_offset = numbers[1];
    parsed.sizes.recipients = numbers[2];
    parsed.sizes.content_length = numbers[4] > 0 ? numbers[4] : numbers[0];
    if (numbers[0] <= 0 || (!parsed.needs_scan && numbers[1] <= 0))
        return Error{Fault::malformed, "size or data offset is not positive in the size record"};
    if ((numbers[3] & ~std::int64_t{qmgr_flag::known}) != 0)
        return Error{Fault::malformed, "unknown flags in the size record"};
    parsed.sizes.qmgr_flags = static_cast<unsigned>(numbers[3]);
    parsed.sizes.send_options = static_cast<unsigned>(numbers[5] & std::int64_t{send_option::known});
    return parsed;
}

} // namespace bulkhead
