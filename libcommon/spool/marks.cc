#include "spool/marks.h"

#include "spool/io.h"
#include "spool/queue_file.h"
#include "spool/record.h"

#include <fmt/format.h>
#include <sys/stat.h>

namespace bulkhead
{

static Result<> put_byte(int fd, std::int64_t offset, RecordType type)
{
    const char byte = static_cast<char>(type);
    const std::string_view piece(&byte, 1);
    return write_pieces_at(fd, std::span(&piece, 1), offset);
}

// The type byte at this offset; 0 behind the end of the file.
static Result<RecordType> type_at(int fd, std::int64_t offset)
{
    char byte = 0;
    if (offset >= 0)
        TRY_VOID(read_at(fd, &byte, 1, offset));
    return static_cast<RecordType>(byte);
}

static Error not_there(std::string_view what, std::int64_t offset)
{
    return {Fault::malformed, fmt::format("no {} record at offset {}", what, offset)};
}

Result<> mark_recipient_done(int fd, std::int64_t offset)
{
    if (offset < 0)
        return {};
    TRY(const RecordType type, type_at(fd, offset));
    if (type == RecordType::recipient_done)
        return {};
    if (type != RecordType::recipient)
        return not_there("recipient", offset);
    return put_byte(fd, offset, RecordType::recipient_done);
}

Result<> clear_warn_time(int fd, std::int64_t offset)
{
    char head[2] = {};
    if (offset >= 0)
        TRY_VOID(read_at(fd, head, sizeof head, offset));
    if (static_cast<RecordType>(head[0]) != RecordType::warn_time || head[1] != char{fixed_number_width})
        return not_there("warn time", offset);
    std::string record;
    append_fixed_number(record, RecordType::warn_time, -1);
    const std::string_view piece = record;
    return write_pieces_at(fd, std::span(&piece, 1), offset);
}

Result<> kill_attribute(int fd, std::int64_t offset)
{
    TRY(const RecordType type, type_at(fd, offset));
    if (type == RecordType::killed)
        return {};
    if (type != RecordType::attribute)
        return not_there("attribute", offset);
    return put_byte(fd, offset, RecordType::killed);
}

static Result<> change_mode(int fd, mode_t set, mode_t clear)
{
    struct stat st{};
    if (::fstat(fd, &st) != 0)
        return system_error("stat queue file");
    const mode_t mode = (st.st_mode & 07777 & ~clear) | set;
    if (mode != (st.st_mode & 07777) && ::fchmod(fd, mode) != 0)
        return system_error("change mode of queue file");
    return {};
}

Result<> mark_corrupt(int fd)
{
    if (::fchmod(fd, file_mode::corrupt) != 0)
        return system_error("change mode of queue file");
    return {};
}

Result<> request_unthrottle(int fd)
{
    return change_mode(fd, file_mode::unthrottle, 0);
}
Result<> clear_unthrottle(int fd)
{
    return change_mode(fd, 0, file_mode::unthrottle);
}
Result<> force_expire(int fd)
{
    return change_mode(fd, file_mode::force_expire, 0);
}

} // namespace bulkhead
