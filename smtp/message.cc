#include "message.h"

#include "output_filter.h"

#include "down_conversion.h"

#include "async/offload.h"
#include "spool/envelope.h"
#include "spool/record.h"

#include <sys/uio.h>

#include <algorithm>

namespace bulkhead
{

bool OutgoingEnvelope::is_probe() const
{
    return request->trace_flags & (trace_flag::probe | trace_flag::verify_only);
}

QueuedText::QueuedText(int fd, std::int64_t size, std::int64_t data_offset, std::size_t line_limit)
    : fd_(fd), size_(size), data_offset_(data_offset), writer_(line_limit)
{
}

QueuedText::~QueuedText() = default;

// The first of the two passes.
Result<> QueuedText::plan_conversion()
{
    ContentReader reader(fd_, data_offset_);
    DownConversionPlan plan;
    for (;;) {
        TRY(const auto record, reader.next());
        if (!record)
            break;
        plan.line(record->data, record->is(RecordType::text));
    }
    converter_ = std::make_unique<DownConverter>(plan.finish());
    return {};
}

// A message that just came in is in memory: RWF_NOWAIT reads it without ever waiting
// for a disk, and spares two thread switches.  False: not there, or not supported.
bool QueuedText::read_cached_file()
{
    if (size_ <= 0 || size_ > std::int64_t{block_size})
        return false;
    const auto size = static_cast<std::size_t>(size_);
    file_ = std::make_unique_for_overwrite<char[]>(size);
    const iovec target{file_.get(), size};
    if (::preadv2(fd_, &target, 1, begin_, RWF_NOWAIT) != size_)
        return false;
    reader_.emplace(std::string_view(file_.get(), size), data_offset_ - begin_);
    return true;
}

Result<bool> QueuedText::append_block(std::string& out)
{
    const std::size_t end = out.size() + block_size;
    // Lines get a byte more each, sometimes two.
    out.reserve(out.size() + std::min(block_size, static_cast<std::size_t>(size_ + size_ / 16)));
    const auto write = [&](std::string_view text, bool complete) { writer_.line(out, text, complete); };
    const LineSink sink = write;
    if (filter_)
        return append_filtered(out, end, sink);
    while (out.size() < end) {
        TRY(const auto record, reader_->next());
        if (!record) {
            if (converter_)
                converter_->finish(sink);
            writer_.finish(out);
            return false;
        }
        if (converter_)
            converter_->line(record->data, record->is(RecordType::text), sink);
        else
            writer_.line(out, record->data, record->is(RecordType::text));
    }
    return true;
}

// The same by way of the filter, whose output is records.
Result<bool> QueuedText::append_filtered(std::string& out, std::size_t end, const LineSink& sink)
{
    std::string made;
    bool more = true;
    while (more && out.size() < end) {
        TRY(const auto record, reader_->next());
        more = record.has_value();
        if (more)
            TRY_VOID(filter_->line(record->data, record->is(RecordType::text), made));
        else
            TRY_VOID(filter_->finish(made));
        RecordReader lines(made);
        for (auto line = lines.next(); line && *line; line = lines.next()) {
            if (converter_)
                converter_->line((*line)->data, (*line)->is(RecordType::text), sink);
            else
                writer_.line(out, (*line)->data, (*line)->is(RecordType::text));
        }
        made.clear();
    }
    if (more)
        return true;
    if (converter_)
        converter_->finish(sink);
    writer_.finish(out);
    return false;
}

Task<Result<bool>> QueuedText::read(std::string& out)
{
    if (wants_7bit_ && !converter_) {
        const auto plan = [&] { return plan_conversion(); };
        CO_TRY_VOID(co_await offload(plan));
    }
    if (!reader_ && !read_cached_file())
        reader_.emplace(fd_, data_offset_);
    if (file_ && !(filter_ && filter_->may_block()))
        co_return append_block(out);
    std::string block; // the pool must not touch the stream's own buffer
    const auto read_block = [&] { return append_block(block); };
    const auto more = co_await offload(read_block);
    out += block;
    co_return more;
}

} // namespace bulkhead
