#include "spool/recipient_log.h"

#include "base/text.h"
#include "spool/io.h"
#include "spool/lock.h"
#include "spool/marks.h"
#include "spool/moves.h"
#include "spool/queue_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <array>

namespace bulkhead
{

namespace
{

// The text fields by their names in the file, in the order in which they are written;
// offset and notify_flags stand between them.
struct TextField {
    std::string_view name;
    std::string RecipientLogEntry::* member;
};
constexpr std::array text_fields{
    TextField{"original_recipient", &RecipientLogEntry::original_recipient},
    TextField{"dsn_orig_rcpt", &RecipientLogEntry::dsn_original},
    TextField{"status", &RecipientLogEntry::status},
    TextField{"action", &RecipientLogEntry::action},
    TextField{"diag_type", &RecipientLogEntry::diagnostic_type},
    TextField{"diag_text", &RecipientLogEntry::diagnostic_text},
    TextField{"mta_type", &RecipientLogEntry::remote_mta_type},
    TextField{"mta_mname", &RecipientLogEntry::remote_mta},
    TextField{"reason", &RecipientLogEntry::reason},
};

void append_field(std::string& out, std::string_view name, std::string_view value)
{
    fmt::format_to(std::back_inserter(out), "{}={}\n", name, printable(value, true));
}

void append_if_set(std::string& out, std::string_view name, std::string_view value)
{
    if (!value.empty())
        append_field(out, name, value);
}

std::string_view shown_address(std::string_view address)
{
    return address.empty() ? "<>" : address;
}

// Lines to entries; a blank line ends one.
class LogParser
{
public:
    LogParser(Queue queue, const RecipientLogLimits& limits) : queue_(queue), limits_(limits) {}

    // False: the limit is reached.
    bool line(std::string_view text);
    RecipientLog finish();

private:
    bool end_entry();
    bool field(std::string_view name, std::string_view value);
    void old_form(std::string_view text);

    Queue queue_;
    RecipientLogLimits limits_;
    RecipientLog log_;
    RecipientLogEntry entry_;
    bool has_recipient_ = false;
    RecipientLogEntry old_entry_; // from "<address>: reason", for an entry without fields
    bool has_old_form_ = false;
};

bool LogParser::line(std::string_view text)
{
    if (text.empty())
        return end_entry();
    if (text.front() == '<') {
        old_form(text);
        return true;
    }
    const auto named = parse_attribute(text);
    if (!named || !field(named->name, named->value))
        ++log_.ignored_lines;
    return true;
}

bool LogParser::end_entry()
{
    if (!has_recipient_ && has_old_form_)
        entry_ = std::move(old_entry_);
    if (has_recipient_ || has_old_form_) {
        if (log_.entries.size() >= limits_.max_entries) {
            log_.truncated = true;
            return false;
        }
        const bool delayed = queue_ == Queue::defer;
        if (entry_.status.empty())
            entry_.status = delayed ? "4.0.0" : "5.0.0";
        if (entry_.action.empty())
            entry_.action = delayed ? "delayed" : "failed";
        log_.entries.push_back(std::move(entry_));
    }
    entry_ = {};
    has_recipient_ = has_old_form_ = false;
    return true;
}

bool LogParser::field(std::string_view name, std::string_view value)
{
    if (name == "recipient") {
        has_recipient_ = true;
        entry_.recipient = value == "<>" ? std::string_view{} : value;
        return true;
    }
    if (name == "offset") {
        const auto offset = parse_unsigned(value);
        if (offset && *offset > 0 && *offset <= INT64_MAX)
            entry_.offset = static_cast<std::int64_t>(*offset);
        return entry_.offset.has_value();
    }
    if (name == "notify_flags") {
        const auto flags = parse_unsigned(value);
        if (!flags || *flags > 0xff)
            return false;
        entry_.notify = static_cast<unsigned>(*flags);
        return true;
    }
    for (const TextField& known : text_fields)
        if (known.name == name) {
            entry_.*known.member = value;
            return true;
        }
    return false;
}

// "<address>: reason": all that very old entries have.  The line says nothing
// where a recipient field follows; then a reason is in a field too.
void LogParser::old_form(std::string_view text)
{
    const std::size_t close = text.find(">: ");
    if (close == std::string_view::npos) {
        ++log_.ignored_lines;
        return;
    }
    has_old_form_ = true;
    old_entry_ = {};
    old_entry_.recipient = text.substr(1, close - 1);
    old_entry_.reason = text.substr(close + 3);
}

RecipientLog LogParser::finish()
{
    end_entry();
    return std::move(log_);
}

// Open and locked, and still the file of that name: the one who removes a log
// may have come between the open and the lock.
Result<UniqueFd> open_for_append(const Spool& spool, const std::string& path)
{
    constexpr int flags = O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK;
    for (int attempt = 0; attempt < 10; ++attempt) {
        auto fd = open_at(spool.root_fd(), path, flags, file_mode::unfinished);
        if (!fd && fd.error().fault == Fault::not_found) {
            TRY_VOID(spool.make_parents(path));
            fd = open_at(spool.root_fd(), path, flags, file_mode::unfinished);
        }
        if (!fd)
            return fd.error();
        TRY_VOID(lock_and_wait(fd->get(), FileLock::exclusive));
        struct stat st{};
        if (::fstat(fd->get(), &st) != 0)
            return file_error("stat", path);
        if (!S_ISREG(st.st_mode))
            return Error{Fault::refused, path + " is not a regular file"};
        if (st.st_nlink > 0)
            return fd;
    }
    return Error{Fault::io, path + " is removed again and again"};
}

} // namespace

void append_recipient_log_text(std::string& out, const RecipientLogEntry& entry, bool compatible)
{
    out += '\n';
    if (compatible)
        fmt::format_to(std::back_inserter(out), "<{}>: {}\n", printable(entry.recipient, true),
                       printable(entry.reason, true));
    append_field(out, "recipient", shown_address(entry.recipient));
    if (entry.original_recipient != entry.recipient)
        append_if_set(out, "original_recipient", entry.original_recipient);
    if (entry.offset && *entry.offset > 0)
        append_field(out, "offset", std::to_string(*entry.offset));
    append_if_set(out, "dsn_orig_rcpt", entry.dsn_original);
    if (entry.notify != 0)
        append_field(out, "notify_flags", std::to_string(entry.notify));
    append_if_set(out, "status", entry.status);
    append_if_set(out, "action", entry.action);
    if (!entry.diagnostic_type.empty() && !entry.diagnostic_text.empty()) {
        append_field(out, "diag_type", entry.diagnostic_type);
        append_field(out, "diag_text", entry.diagnostic_text);
    }
    if (!entry.remote_mta_type.empty() && !entry.remote_mta.empty()) {
        append_field(out, "mta_type", entry.remote_mta_type);
        append_field(out, "mta_mname", entry.remote_mta);
    }
    append_if_set(out, "reason", entry.reason);
    out += '\n';
}

RecipientLog parse_recipient_log(std::string_view text, Queue queue, const RecipientLogLimits& limits)
{
    LogParser parser(queue, limits);
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        if (!parser.line(text.substr(0, end)))
            break;
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return parser.finish();
}

Result<> append_recipient_log(const Spool& spool, Queue queue, const QueueId& id,
                              std::span<const RecipientLogEntry> entries, bool compatible)
{
    std::string text;
    for (const RecipientLogEntry& entry : entries)
        append_recipient_log_text(text, entry, compatible);

    const std::string path = spool.path_of(queue, id);
    TRY(const UniqueFd fd, open_for_append(spool, path));
    const off_t before = ::lseek(fd.get(), 0, SEEK_END);
    const std::string_view piece = text;
    auto written =
        before < 0 ? Result<>(file_error("seek", path)) : write_pieces_at(fd.get(), {&piece, 1}, before);
    if (written && ::fsync(fd.get()) == 0)
        return {};
    const Error error =
        written ? file_error("fsync", path) : system_error("write " + path, written.error().number);
    // Half an entry would be read as a whole one.  If this fails too, the caller
    // still hears of the first error and keeps the recipient.
    if (before >= 0 && ::ftruncate(fd.get(), before) != 0)
        return file_error("truncate", path);
    return error;
}

Result<RecipientLog> read_recipient_log(const Spool& spool, Queue queue, const QueueId& id,
                                        const RecipientLogLimits& limits)
{
    TRY(const UniqueFd fd,
        open_at(spool.root_fd(), spool.path_of(queue, id), O_RDONLY | O_NONBLOCK | O_NOCTTY));
    if (limits.wait_for_writer)
        TRY_VOID(lock_and_wait(fd.get(), FileLock::shared));
    std::string text;
    bool truncated = false;
    std::array<char, 16384> block;
    for (;;) {
        TRY(const std::size_t size,
            read_at(fd.get(), block.data(), block.size(), static_cast<std::int64_t>(text.size())));
        if (text.size() + size > limits.max_bytes) {
            truncated = true;
            text.resize(text.rfind("\n\n") == std::string::npos ? 0 : text.rfind("\n\n") + 1);
            break;
        }
        text.append(block.data(), size);
        if (size < block.size())
            break;
    }
    RecipientLog log = parse_recipient_log(text, queue, limits);
    log.truncated |= truncated;
    return log;
}

Result<bool> has_recipient_log(const Spool& spool, Queue queue, const QueueId& id)
{
    const auto info = file_info(spool, spool.path_of(queue, id));
    if (info)
        return info->is_regular() && info->size > 0;
    if (info.error().fault == Fault::not_found)
        return false;
    return info.error();
}

Result<> remove_recipient_log(const Spool& spool, Queue queue, const QueueId& id)
{
    auto removed = remove_queue_file(spool, queue, id);
    if (!removed && removed.error().fault == Fault::not_found)
        return {};
    return removed;
}

Result<> remove_recipient_logs(const Spool& spool, const QueueId& id)
{
    for (const Queue queue : {Queue::bounce, Queue::defer, Queue::trace})
        TRY_VOID(remove_recipient_log(spool, queue, id));
    return {};
}

} // namespace bulkhead
