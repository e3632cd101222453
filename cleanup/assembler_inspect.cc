// Header and body checks of a message in the making: what is asked when, what is done
// about the answers, and the log lines that tell of it (log-format.md section 5).
#include "assembler.h"

#include "base/text.h"
#include "log/log.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/logged_address.h"
#include "spool/record.h"
#include "table/ask.h"

#include <fmt/format.h>

namespace bulkhead
{

InspectorOptions inspector_options(const CleanupParams& params)
{
    InspectorOptions options;
    options.body_limit = static_cast<std::size_t>(params.body_checks_limit());
    options.header_limit = static_cast<std::size_t>(params.header_size_limit());
    options.uses_mime = !params.disable_mime();
    options.mime.nesting = static_cast<std::size_t>(params.mime_nesting_limit());
    options.mime.boundary = static_cast<std::size_t>(params.mime_boundary_limit());
    options.mime.header = options.header_limit;
    return options;
}

std::string Assembler::fact(std::string_view name) const
{
    RecordReader records(facts_);
    for (;;) {
        const auto record = records.next();
        if (!record || !*record)
            return {};
        const auto attribute = (*record)->is(RecordType::attribute) ? parse_attribute((*record)->data)
                                                                    : std::optional<AttributeView>();
        if (attribute && attribute->name == name)
            return std::string(attribute->value);
    }
}

std::string Assembler::origin() const
{
    std::string origin = fact("log_message_origin");
    return origin.empty() ? "local" : origin;
}

// "; from=<a@b> to=<c@d> proto=ESMTP helo=<h>"
std::string Assembler::circumstances() const
{
    std::string text = fmt::format("; from=<{}>", printable(logged_form(sender_), true));
    if (!last_recipient_.empty())
        text += fmt::format(" to=<{}>", printable(logged_form(last_recipient_), true));
    if (const std::string protocol = fact("log_protocol_name"); !protocol.empty())
        text += " proto=" + printable(protocol);
    if (const std::string helo = fact("log_helo_name"); !helo.empty())
        text += fmt::format(" helo=<{}>", printable(helo));
    return text;
}

void Assembler::log_finding(const Finding& finding, std::string_view prefix, std::string_view text) const
{
    log::info(fmt::format("{}: {}{}: {} {} from {}{}{}{}", queue_id_, prefix, log_word(finding.action),
                          finding.in_header ? "header" : "body", printable(finding.subject, true), origin(),
                          circumstances(), text.empty() ? "" : ": ", printable(text, true)));
}

// "4.7.1 later" apart; a text without status gets 5.7.1.
static std::pair<std::string, std::string> refusal_of(std::string_view text)
{
    const auto [status, rest] = split_status(text);
    const std::string_view words = trim(status ? rest : text);
    return {status && status->status_class != 2 ? status->text() : "5.7.1",
            words.empty() ? "message content rejected" : std::string(words)};
}

// prefix: "milter-header-" for milter_header_checks.
void Assembler::apply(const std::vector<Finding>& findings, std::string_view prefix)
{
    for (const Finding& finding : findings) {
        switch (finding.action) {
        case CheckAction::dunno:
        case CheckAction::ignore:
            continue;
        case CheckAction::unknown:
            log::warn(fmt::format("{}: unknown command in {} map: {}", queue_id_, finding.table,
                                  printable(finding.text)));
            continue;
        case CheckAction::broken:
            log::warn(fmt::format("{}: {}", queue_id_, finding.text));
            refuse(
                ipc::cleanup_status::temporary, {}, {},
                fmt::format("{} map lookup problem -- message not accepted, try again later", finding.table));
            return;
        case CheckAction::reject: {
            const auto [status, text] = refusal_of(finding.text);
            log_finding(finding, prefix, status + ' ' + text);
            refuse(ipc::cleanup_status::rejected, status, text, {});
            return;
        }
        case CheckAction::discard:
            flags_ |= ipc::cleanup_flag::discard;
            break;
        case CheckAction::hold:
            flags_ |= ipc::cleanup_flag::hold;
            break;
        case CheckAction::filter:
            filter_ = finding.text;
            break;
        case CheckAction::redirect:
            redirect_ = split_addresses(finding.text).front();
            break;
        case CheckAction::bcc:
            for (std::string& address : split_addresses(finding.text))
                late_copies_.push_back(std::move(address));
            break;
        case CheckAction::pass:
            passes_ = true;
            break;
        default:
            break;
        }
        log_finding(finding, prefix, finding.text);
    }
}

// Header checks: false when nothing of the header is left.
Task<bool> Assembler::check_header(IncomingHeader& header)
{
    const std::string raw = text_of(header);
    const auto look = [&] { return inspector_->header(HeaderClass::primary, raw); };
    const std::optional<std::string> changed = co_await ask(policy_.checks->may_block(), look);
    apply(inspector_->take_findings(), {});
    if (!changed)
        co_return true;
    std::string_view text = *changed;
    if (text.empty())
        co_return false;
    // PREPEND: what comes in front is not looked at again.
    if (text.size() > raw.size() && text.ends_with('\n' + raw)) {
        append_text(out_, text.substr(0, text.size() - raw.size() - 1));
        co_return true;
    }
    header.records.clear();
    append_text(header.records, text);
    header.name = header_field_name(text);
    header.kind = header_kind(header.name);
    header.cut = false;
    co_return true;
}

void Assembler::note_mime_header(const IncomingHeader& header)
{
    const bool type = equals_ignoring_case(header.name, "content-type");
    if (!type && header.kind != HeaderKind::content_transfer_encoding)
        return;
    const std::string text = text_of(header);
    (type ? content_type_ : transfer_encoding_) = text.substr(std::min(text.find(':') + 1, text.size()));
}

// The structure of a body is followed where a table or an option asks for it, and where
// parts could be nested too deep.
void Assembler::begin_inspection()
{
    const InspectorOptions options = inspector_options(params_);
    if (inspector_)
        inspector_->begin_body(content_type_, transfer_encoding_);
    else if (options.uses_mime && (!content_type_.empty() || checks_8bit_body()) &&
             has(ipc::cleanup_flag::filter)) {
        scanner_.emplace(content_type_, transfer_encoding_, options.mime);
        if (scanner_->is_plain() && !checks_8bit_body() && !params_.strict_encoding_domain())
            scanner_.reset();
    }
    check_mime();
}

bool Assembler::checks_8bit_body() const
{
    return params_.strict_8bitmime() || params_.strict_8bitmime_body();
}

void Assembler::refuse_mime(std::string_view what)
{
    const std::string text(what);
    log::info(fmt::format("{}: reject: mime-error {} from {}{}", queue_id_, text, origin(), circumstances()));
    refuse(ipc::cleanup_status::rejected, "5.6.0", text, {});
}

void Assembler::check_mime()
{
    const unsigned faults = inspector_ ? inspector_->mime_faults() : scanner_ ? scanner_->faults() : 0;
    if (faults == 0 || stage_ == Stage::refused || !has(ipc::cleanup_flag::filter))
        return;
    if (faults & mime_fault::nesting)
        refuse_mime("message nesting exceeds safety limit");
    else if ((faults & mime_fault::header_8bit) && checks_8bit_header())
        refuse_mime("improper use of 8-bit data in message header");
    else if ((faults & mime_fault::body_8bit) && checks_8bit_body())
        refuse_mime("improper use of 8-bit data in message body");
    else if ((faults & mime_fault::encoding_domain) && params_.strict_encoding_domain())
        refuse_mime("invalid message/* or multipart/* encoding domain");
}

bool Assembler::checks_8bit_header() const
{
    return (params_.strict_8bitmime() || params_.strict_7bit_headers()) && !has(ipc::cleanup_flag::smtputf8);
}

bool Assembler::inspects_lines() const
{
    return inspector_ || (policy_.strip && !policy_.strip->empty()) ||
           (policy_.reject && !policy_.reject->empty());
}

// Whole records, text only; on a look-up thread when a table may block.
void Assembler::inspect_lines(std::string_view records, std::string& made)
{
    RecordReader reader(records);
    for (;;) {
        const auto record = reader.next();
        if (!record || !*record)
            return;
        std::string_view text = (*record)->data;
        std::string stripped;
        if (policy_.strip && policy_.strip->meets(text)) {
            stripped = policy_.strip->without(text);
            text = stripped;
        }
        if (policy_.reject && policy_.reject->meets(text))
            has_bad_characters_ = true;
        const bool complete = (*record)->is(RecordType::text);
        if (inspector_)
            inspector_->line(text, complete, made);
        else
            append_record(made, (*record)->type, text);
    }
}

// Like pass_body(), line by line.
Task<std::size_t> Assembler::inspect_body(std::string_view bytes)
{
    std::string block;
    const std::size_t done = take_lines(bytes, block);
    std::string made;
    const auto look = [&] { inspect_lines(block, made); };
    const bool may_block = policy_.checks && policy_.checks->may_block();
    co_await ask(may_block, look);
    out_ += made;
    after_inspection();
    check_size();
    co_return done;
}

void Assembler::feed_scanner(std::string_view records)
{
    RecordReader reader(records);
    for (auto record = reader.next(); record && *record; record = reader.next())
        (void)scanner_->line((*record)->data, (*record)->is(RecordType::text));
    check_mime();
}

void Assembler::after_inspection()
{
    if (inspector_)
        apply(inspector_->take_findings(), {});
    if (has_bad_characters_ && stage_ != Stage::refused)
        refuse(ipc::cleanup_status::rejected, "5.7.1", "disallowed character",
               "message rejected: disallowed character");
    check_mime();
}

} // namespace bulkhead
