#include "assembler.h"

#include "base/text.h"
#include "log/log.h"
#include "mail/header.h"

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t max_content_record = 64 * 1024;
constexpr std::size_t max_recipients = 100'000;
constexpr std::size_t added_bytes = 1024; // what we put into most messages

// CR and LF inside of a line: another server might take them for the end of one.
bool has_stray(std::string_view line)
{
    return line.find('\r') != line.npos || line.find('\n') != line.npos;
}

void blank_stray(char* line, std::size_t size)
{
    for (char* at = line; at < line + size; ++at)
        if (*at == '\r' || *at == '\n')
            *at = ' ';
}

} // namespace

Assembler::Assembler(AssemblyPolicy& policy, std::string queue_id, unsigned flags, WallTime now,
                     bool is_editable)
    : policy_(policy), params_(policy.params), queue_id_(std::move(queue_id)), flags_(flags), now_(now),
      arrival_(now), is_editable_(is_editable)
{
    if (policy_.checks && !policy_.checks->empty() && has(ipc::cleanup_flag::filter))
        inspector_ = std::make_unique<ContentInspector>(*policy_.checks, inspector_options(params_));
    keeps_facts_ = inspector_ || is_editable_;
}

void Assembler::refuse(unsigned status, std::string dsn, std::string reason, std::string_view log_text)
{
    if (result_.ok()) {
        result_.status = status;
        result_.reason = std::move(reason);
        result_.dsn = std::move(dsn);
    }
    stage_ = Stage::refused;
    if (!log_text.empty())
        log::warn(fmt::format("{}: {}", queue_id_, log_text));
}

void Assembler::output_taken()
{
    taken_ += static_cast<std::int64_t>(out_.size());
    out_.clear();
}

bool Assembler::patch_sizes()
{
    if (taken_ > 0 || out_.size() < size_record_bytes)
        return false;
    std::string record;
    append_size_record(record, sizes_);
    out_.replace(0, size_record_bytes, record);
    return true;
}

void Assembler::check_size()
{
    const std::int64_t limit = params_.message_size_limit();
    if (limit > 0 && position() - sizes_.data_offset > limit && stage_ != Stage::refused)
        refuse(ipc::cleanup_status::too_big, "5.3.4", {}, "queue file size limit exceeded");
}

Task<> Assembler::feed(std::string bytes)
{
    if (!rest_.empty()) {
        rest_ += bytes;
        bytes = std::exchange(rest_, {});
    }
    std::string_view left = bytes;
    if (out_.empty()) // most messages come at once
        out_.reserve(bytes.size() + added_bytes);
    while (!left.empty() && stage_ != Stage::refused) {
        if (stage_ == Stage::body) {
            if (inspects_lines()) {
                const std::size_t used = co_await inspect_body(left);
                left.remove_prefix(used);
            } else {
                left.remove_prefix(pass_body(left));
            }
            if (left.empty() || stage_ == Stage::refused)
                break;
        }
        const auto peek = peek_record(left);
        if (!peek || peek->needed > max_content_record + 8) {
            refuse(ipc::cleanup_status::bad, {}, "malformed record", "message rejected: malformed record");
            break;
        }
        if (peek->encoded == 0)
            break;
        const Work todo = accept(peek->record, left.substr(0, peek->encoded));
        left.remove_prefix(peek->encoded);
        if (todo != Work::none)
            co_await work(todo);
    }
    if (stage_ != Stage::refused)
        rest_ = left;
}

Task<> Assembler::work(Work what)
{
    switch (what) {
    case Work::none:
        break;
    case Work::envelope:
        co_await finish_envelope();
        break;
    case Work::header:
        co_await finish_header();
        if (ends_headers_)
            co_await end_headers();
        break;
    case Work::extracted:
        co_await finish_extracted();
        break;
    }
}

Task<> Assembler::finish()
{
    if (stage_ == Stage::done && !rest_.empty())
        refuse(ipc::cleanup_status::bad, {}, "data behind the end",
               "message rejected: data behind the end record");
    else if (stage_ != Stage::done && stage_ != Stage::refused)
        refuse(ipc::cleanup_status::bad, {}, "no end record", "message rejected: missing end record");
    if (stage_ == Stage::refused)
        close_refused();
    co_return;
}

bool Assembler::is_returnable() const
{
    constexpr unsigned content =
        ipc::cleanup_status::too_big | ipc::cleanup_status::too_many_hops | ipc::cleanup_status::rejected;
    return has(ipc::cleanup_flag::bounce_errors) && (result_.status & content) != 0 && !written_.empty();
}

// Makes a readable file of a refused message, as far as it has come: its sender may
// have to be told.
void Assembler::close_refused()
{
    if (sizes_.data_offset == 0)
        return;
    if (sizes_.content_bytes == 0)
        end_content();
    append_record(out_, RecordType::end, {});
    stage_ = Stage::refused;
}

Assembler::Work Assembler::accept(const Record& record, std::string_view encoded)
{
    switch (stage_) {
    case Stage::envelope:
        return accept_envelope(record, encoded);
    case Stage::headers:
        return accept_header(record, encoded);
    case Stage::body:
        if (record.is(RecordType::extracted_start) && record.data.empty())
            end_content();
        else
            refuse(ipc::cleanup_status::bad, {}, "bad record in content",
                   "message rejected: bad record in content");
        return Work::none;
    case Stage::extracted:
        return accept_extracted(record, encoded);
    case Stage::done:
        refuse(ipc::cleanup_status::bad, {}, "data behind the end",
               "message rejected: data behind the end record");
        return Work::none;
    case Stage::refused:
        break;
    }
    return Work::none;
}

// ---- envelope and extracted segment ----

Assembler::Work Assembler::accept_envelope(const Record& record, std::string_view encoded)
{
    const auto refuse_bad = [&](const std::string& why) {
        refuse(ipc::cleanup_status::bad, {}, why, "message rejected: " + why);
        return Work::none;
    };
    if (const auto checked = check_record(Segment::envelope, record); !checked)
        return refuse_bad(checked.error().context);
    switch (record.type) {
    case RecordType::arrival_time: {
        const auto fields = split(record.data, " ");
        arrival_.seconds = static_cast<std::int64_t>(parse_unsigned(fields[0]).value_or(0));
        arrival_.microseconds =
            fields.size() > 1 ? static_cast<std::int32_t>(parse_unsigned(fields[1]).value_or(0)) : 0;
        break;
    }
    case RecordType::full_name:
        if (full_name_.empty())
            full_name_ = record.data;
        break;
    case RecordType::sender:
        if (has_sender_)
            return refuse_bad("more than one sender");
        has_sender_ = true;
        sender_ = record.data;
        break;
    case RecordType::attribute:
        accept_attribute(record, encoded);
        break;
    case RecordType::original_recipient:
        group_.original = record.data;
        break;
    case RecordType::recipient:
        if (!has_sender_)
            return refuse_bad("recipient in front of the sender");
        accept_recipient(record);
        break;
    case RecordType::message_start:
        if (!has_sender_)
            return refuse_bad("no sender");
        return Work::envelope;
    default:
        (has_sender_ ? tail_ : head_) += encoded;
        break;
    }
    return Work::none;
}

Assembler::Work Assembler::accept_extracted(const Record& record, std::string_view encoded)
{
    if (const auto checked = check_record(Segment::extracted, record); !checked) {
        refuse(ipc::cleanup_status::bad, {}, checked.error().context,
               "message rejected: " + checked.error().context);
        return Work::none;
    }
    switch (record.type) {
    case RecordType::attribute:
        accept_attribute(record, encoded);
        break;
    case RecordType::original_recipient:
        group_.original = record.data;
        break;
    case RecordType::recipient:
        accept_recipient(record);
        break;
    case RecordType::end:
        return Work::extracted;
    default:
        extracted_ += encoded;
        break;
    }
    return Work::none;
}

void Assembler::accept_attribute(const Record& record, std::string_view encoded)
{
    const AttributeView attribute = *parse_attribute(record.data);
    const AttributeUse use = use_of_attribute(attribute.name);
    if (use == AttributeUse::dropped) {
        if (attribute.name != "create_time")
            log::warn(fmt::format("{}: unknown attribute {} dropped", queue_id_, printable(attribute.name)));
        return;
    }
    if (use == AttributeUse::recipient) {
        if (attribute.name == "notify_flags")
            group_.notify = static_cast<unsigned>(parse_unsigned(attribute.value).value_or(0));
        else
            group_.dsn_original = attribute.value;
        return;
    }
    if (++attributes_ > params_.attribute_limit()) {
        refuse(ipc::cleanup_status::bad, {}, "too many attributes", "message rejected: too many attributes");
        return;
    }
    if (attribute.value.empty())
        return;
    if (attribute.name == "rewrite_context")
        has_context_ = true;
    else if (attribute.name == "envelope_id")
        envelope_id_ = attribute.value;
    else if (attribute.name == "ret_flags")
        ret_flags_ = static_cast<unsigned>(parse_unsigned(attribute.value).value_or(0));
    else if (attribute.name == "encoding")
        encoding_ = attribute.value;
    if (stage_ == Stage::envelope)
        (has_sender_ ? tail_ : head_) += encoded;
    else if (attribute.name != "encoding") // that one is written last
        extracted_ += encoded;
}

void Assembler::accept_recipient(const Record& record)
{
    if (++received_groups_ > max_recipients) {
        refuse(ipc::cleanup_status::bad, {}, "too many recipients", "message rejected: too many recipients");
        return;
    }
    group_.address = record.data;
    if (keeps_facts_)
        last_recipient_ = record.data;
    groups_.push_back(std::exchange(group_, {}));
}

// ---- content ----

Assembler::Work Assembler::accept_header(const Record& record, std::string_view encoded)
{
    if (record.is(RecordType::extracted_start) && record.data.empty()) {
        ends_headers_ = ends_content_ = true;
        complete_ = std::exchange(header_, std::nullopt);
        return Work::header;
    }
    const bool part = record.is(RecordType::text_part);
    if (!part && !record.is(RecordType::text)) {
        refuse(ipc::cleanup_status::bad, {}, "bad record in content",
               "message rejected: bad record in content");
        return Work::none;
    }
    const bool continues =
        header_ && (header_->open_line || (!record.data.empty() && is_blank(record.data.front())));
    if (continues) {
        append_to_header(record, encoded);
        return Work::none;
    }
    const std::string_view name = header_field_name(record.data);
    complete_ = std::exchange(header_, std::nullopt);
    if (!name.empty()) {
        header_.emplace();
        header_->kind = header_kind(name);
        header_->name = name;
        append_to_header(record, encoded);
        return complete_ ? Work::header : Work::none;
    }
    ends_headers_ = true;
    const bool blank = !part && record.data.empty();
    if (!blank) // text without a blank line in front
        append_record(first_body_records_, RecordType::text, {});
    const std::size_t at = first_body_records_.size() + encoded.size() - record.data.size();
    first_body_records_ += encoded;
    if (params_.replace_stray_cr_lf() && has_stray(record.data))
        blank_stray(first_body_records_.data() + at, record.data.size());
    open_line_ = part;
    return Work::header;
}

void Assembler::append_to_header(const Record& record, std::string_view encoded)
{
    IncomingHeader& header = *header_;
    const bool part = record.is(RecordType::text_part);
    header.size += record.data.size() + 1;
    if (header.cut || header.size > static_cast<std::size_t>(params_.header_size_limit())) {
        // What was kept must end with a whole line.
        if (!header.cut && header.open_line)
            append_record(header.records, RecordType::text, {});
        header.cut = true;
    } else {
        if (policy_.reject && policy_.reject->meets(record.data))
            has_bad_characters_ = true;
        if (policy_.strip && policy_.strip->meets(record.data)) {
            append_record(header.records, record.type, policy_.strip->without(record.data));
            header.open_line = part;
            return;
        }
        const std::size_t at = header.records.size() + encoded.size() - record.data.size();
        header.records += encoded;
        if (params_.replace_stray_cr_lf() && has_stray(record.data))
            blank_stray(header.records.data() + at, record.data.size());
    }
    header.open_line = part;
}

// Takes the whole N and L records at the front of `bytes`: their number of bytes.
// This loop sees every line of every message: it looks at types and lengths only,
// and copies all lines at once.
std::size_t Assembler::pass_body(std::string_view bytes)
{
    const std::size_t done = take_lines(bytes, out_);
    if (scanner_)
        check_mime();
    check_size();
    return done;
}

std::size_t Assembler::take_lines(std::string_view bytes, std::string& out)
{
    struct Stray {
        std::size_t at;
        std::size_t size;
    };
    std::vector<Stray> strays;
    const bool replaces = params_.replace_stray_cr_lf();
    std::size_t done = 0;
    while (done < bytes.size()) {
        const char type = bytes[done];
        if (type != static_cast<char>(RecordType::text) && type != static_cast<char>(RecordType::text_part))
            break;
        std::size_t at = done + 1;
        std::size_t size = 0;
        bool whole = false;
        for (unsigned shift = 0; at < bytes.size() && shift < 28 && !whole; shift += 7) {
            const auto byte = static_cast<unsigned char>(bytes[at++]);
            size |= std::size_t{byte & 0x7fu} << shift;
            whole = byte < 0x80;
        }
        if (!whole || size > max_content_record || at + size > bytes.size())
            break;
        if (replaces && has_stray(bytes.substr(at, size)))
            strays.push_back({at, size});
        if (scanner_)
            (void)scanner_->line(bytes.substr(at, size), type == static_cast<char>(RecordType::text));
        open_line_ = type == static_cast<char>(RecordType::text_part);
        done = at + size;
    }
    const std::size_t base = out.size();
    out.append(bytes.substr(0, done));
    for (const Stray& stray : strays)
        blank_stray(out.data() + base + stray.at, stray.size);
    return done;
}

void Assembler::end_content()
{
    if (inspector_ && stage_ != Stage::refused) {
        inspector_->finish(out_);
        after_inspection();
        if (stage_ == Stage::refused)
            return;
    }
    if (std::exchange(open_line_, false) ||
        position() == sizes_.data_offset + (is_editable_ ? empty_pointer_bytes : 0))
        append_record(out_, RecordType::text, {});
    sizes_.content_bytes = position() - sizes_.data_offset;
    sizes_.content_length = sizes_.content_bytes;
    append_record(out_, RecordType::extracted_start, {});
    stage_ = Stage::extracted;
}

} // namespace bulkhead
