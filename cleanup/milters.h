// Mail filters and the content of one message: each filter sees headers and body as those
// before it left them, and all their changes reach the queue file in one step, before the
// message is complete (docs/milters.md).
#pragma once

#include "assembler.h"
#include "milter/filter.h"
#include "spool/new_file.h"

#include <memory>
#include <string>
#include <vector>

namespace bulkhead
{

// What all messages have in common.
struct MilterService {
    std::vector<milter::Settings> local; // non_smtpd_milters
    milter::Macros macros;
    ContentChecks header_checks; // milter_header_checks
    std::string myhostname;
    std::string daemon_name;
    std::string macro_v;
};

// One message's filters.  The file holds what the message no longer does; the message is
// complete (Assembler::finish).
class MessageMilters
{
public:
    MessageMilters(MilterService& service, std::string queue_id)
        : service_(service), queue_id_(std::move(queue_id))
    {
    }

    // Filters that smtpd has lent: exactly as many descriptors as states.
    Result<> take_over(const std::vector<std::string>& states, std::vector<UniqueFd> descriptors);

    // Connections of our own, for mail that no SMTP client brought; the envelope is told.
    Task<> open_local(Assembler& message);

    bool empty() const { return filters_.empty(); }

    // All filters, one after the other.  An error is the disk's.
    Task<Result<>> run(Assembler& message, NewQueueFile& file);

    // CleanupResult::milters.
    std::string states() const;

private:
    struct Header {
        std::string name;
        std::string value; // behind the colon, lines joined by '\n'
        bool own = false;  // our Received:, which filters do not see
        std::string text() const { return name + ':' + value; }
    };

    Task<Result<>> read_headers(Assembler& message, NewQueueFile& file);
    Task<Result<milter::Answer>> show(milter::Filter& filter, Assembler& message, NewQueueFile& file,
                                      std::vector<milter::Edit>& edits);
    Task<Result<milter::Answer>> show_body(milter::Filter& filter, Assembler& message, NewQueueFile& file);
    bool obey(milter::Filter& filter, const milter::Answer& answer, Assembler& message);
    Task<> apply(std::vector<milter::Edit> edits, Assembler& message);
    void add_header(const milter::Edit& edit);
    void change_header(const milter::Edit& edit);
    Task<bool> passes_checks(const milter::Edit& edit, Assembler& message);
    Task<Result<>> write_changes(Assembler& message, NewQueueFile& file);
    std::string content_records(Assembler& message, std::int64_t& length) const;
    milter::MacroValue macros_of(const Assembler& message) const;
    void log_event(const Assembler& message, std::string_view what, std::string_view text) const;

    MilterService& service_;
    std::string queue_id_;
    std::vector<std::unique_ptr<milter::Settings>> storage_;
    std::vector<std::unique_ptr<milter::Filter>> filters_;

    std::vector<Header> headers_;
    bool headers_changed_ = false;
    std::optional<std::string> body_; // replaced, lines with CR LF
    std::vector<std::string> added_;  // recipients
    std::vector<std::string> deleted_;
    std::optional<std::string> sender_;
};

} // namespace bulkhead
