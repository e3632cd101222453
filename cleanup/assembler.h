// From the records that a client sends to the bytes of a queue file: the envelope is
// checked, rewritten and expanded, headers are completed, the body passes through
// in blocks.  Knows no sockets and no files: its owner feeds it, takes its output
// away when it has become large, and puts the size record in its place.
#pragma once

#include "address_maps.h"
#include "async/task.h"
#include "base/clock.h"
#include "characters.h"
#include "content/inspector.h"
#include "header_kind.h"
#include "incoming_record.h"
#include "ipc/bounce.h"
#include "ipc/cleanup.h"
#include "ipc/rewrite.h"
#include "params.h"
#include "spool/size_record.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace bulkhead
{

// Who completes addresses: trivial-rewrite, or a test.
class AddressCompleter
{
public:
    virtual ~AddressCompleter() = default;
    virtual Task<Result<std::string>> complete(ipc::RewriteContext context, std::string address) = 0;
};

// What stays the same from message to message.
struct AssemblyPolicy {
    const CleanupParams& params;
    AddressMaps& maps;
    AddressCompleter& completer;
    std::string myhostname;
    ContentChecks* checks = nullptr; // null: none
    const CharacterSet* strip = nullptr;
    const CharacterSet* reject = nullptr;
};

inline constexpr std::int64_t empty_pointer_bytes = 17; // of a pointer record on disk

InspectorOptions inspector_options(const CleanupParams& params);

// Where a file that milters may edit can be changed in place: pointer records without a
// jump, to be overwritten (queue-format.md section 7), and what lies behind them.
struct EditPoints {
    std::int64_t sender = 0; // the pointer in front of the sender
    std::int64_t behind_sender = 0;
    std::int64_t content = 0; // the first record of the content is one too
    std::int64_t body = 0;    // the first record behind the headers
    std::int64_t end = 0;     // in front of E
};

// A header field as its records come in.
struct IncomingHeader {
    HeaderKind kind = HeaderKind::other;
    std::string name;
    std::string records;    // as they came
    std::size_t size = 0;   // bytes of text
    bool open_line = false; // the last record was an L
    bool cut = false;       // header_size_limit reached
};

class Assembler
{
public:
    // The policy outlives the assembler.  now: when the message came to us.
    // is_editable: leaves room for the changes of milters.
    Assembler(AssemblyPolicy& policy, std::string queue_id, unsigned flags, WallTime now,
              bool is_editable = false);

    // The next piece of the stream, cut anywhere.  What is wrong with the message is
    // kept until result(); the rest of such a message is passed over.
    Task<> feed(std::string bytes);

    // What the client has decided since it began: hold, discard.
    void add_flags(unsigned flags) { flags_ |= flags; }

    // The client says that this was all.  Afterwards output() is complete: also for a
    // message that was refused, whose envelope is then good for a notice.
    Task<> finish();

    const ipc::CleanupResult& result() const { return result_; }

    // What has been made since the last clear().  The file starts with a size record
    // of zeros: patch_sizes() fills it in place while it is still here.
    std::string& output() { return out_; }
    void output_taken();
    MessageSizes sizes() const { return sizes_; }
    bool patch_sizes();

    // The message was judged after finish(): by a milter.
    void refuse_content(ipc::CleanupResult result) { result_ = std::move(result); }
    void hold() { flags_ |= ipc::cleanup_flag::hold; }
    void discard() { flags_ |= ipc::cleanup_flag::discard; }

    // PASS: no milter shall see it.
    bool passes_milters() const { return passes_; }
    bool wants_local_milters() const { return has(ipc::cleanup_flag::local_milters); }
    const EditPoints& edit_points() const { return edit_points_; }
    MessageSizes& sizes_to_edit() { return sizes_; }
    void set_sender(std::string sender) { sender_ = std::move(sender); }

    // An attribute of the envelope: "client_address".  Only of messages that are inspected.
    std::string fact(std::string_view name) const;
    std::string origin() const;        // "name[address]", or "local"
    std::string circumstances() const; // "; from=<a@b> to=<c@d> proto=ESMTP helo=<h>"
    void apply(const std::vector<Finding>& findings, std::string_view prefix);

    // Adds recipients behind everything else, as the records of the file.
    Task<Result<std::string>> late_recipient(std::string address);

    bool is_held() const { return (flags_ & ipc::cleanup_flag::hold) != 0; }
    bool is_discarded() const { return (flags_ & ipc::cleanup_flag::discard) != 0; }
    const std::string& sender() const { return sender_; }

    // Refused for what it is, and its client has asked us to tell the sender.
    bool is_returnable() const;

    // The recipients as they stand in the file, for a notice.
    struct Written {
        std::int64_t offset = 0;
        std::string address;
        std::string original;
        std::string dsn_original;
        unsigned notify = 0;
    };
    const std::vector<Written>& written() const { return written_; }
    unsigned ret_flags() const { return ret_flags_; }
    const std::string& envelope_id() const { return envelope_id_; }
    const std::string& encoding() const { return encoding_; }

private:
    enum class Stage { envelope, headers, body, extracted, done, refused };

    // A recipient with the records that belong to it.
    struct Group {
        std::string address;
        std::string original;
        std::string dsn_original;
        unsigned notify = 0;
    };
    // Work that may have to wait for another process.
    enum class Work { none, envelope, header, extracted };

    Work accept(const Record& record, std::string_view encoded);
    Work accept_envelope(const Record& record, std::string_view encoded);
    Work accept_header(const Record& record, std::string_view encoded);
    Work accept_extracted(const Record& record, std::string_view encoded);
    void accept_attribute(const Record& record, std::string_view encoded);
    void accept_recipient(const Record& record);
    void append_to_header(const Record& record, std::string_view encoded);
    std::size_t pass_body(std::string_view bytes);
    Task<> work(Work what);

    // envelope
    Task<Mapped> look_up(std::function<Mapped()> question); // in the tables; logs what failed
    Task<> finish_envelope();
    void write_head();
    Task<> write_groups();
    Task<> finish_extracted();
    Task<Result<std::string>> mapped_address(AddressRole role, ipc::RewriteContext context,
                                             std::string address);
    Task<Result<std::vector<std::string>>> expand(const std::string& recipient);
    Task<> write_recipient(Group group, bool with_copies);
    Task<> write_copies(const std::string& recipient);
    void write_final(const Group& group, const std::string& address);
    bool is_new(const Group& group, const std::string& address);

    // inspection: assembler_inspect.cc
    void log_finding(const Finding& finding, std::string_view prefix, std::string_view text) const;
    Task<bool> check_header(IncomingHeader& header);
    void note_mime_header(const IncomingHeader& header);
    void begin_inspection();
    bool checks_8bit_body() const;
    bool checks_8bit_header() const;
    void refuse_mime(std::string_view what);
    void check_mime();
    bool inspects_lines() const;
    void inspect_lines(std::string_view records, std::string& made);
    Task<std::size_t> inspect_body(std::string_view bytes);
    std::size_t take_lines(std::string_view bytes, std::string& out);
    void after_inspection();
    void feed_scanner(std::string_view records);

    // headers
    Task<> finish_header();
    Task<> rewrite_header(IncomingHeader& header);
    Task<> end_headers();
    Task<> add_missing_headers();
    Task<Result<std::string>> from_line();
    bool is_dropped(std::string_view name) const;
    static std::string text_of(const IncomingHeader& header);
    void note_encoding(const IncomingHeader& header);
    void log_message_id(std::string_view key, std::string_view value) const;

    void end_content();
    void close_refused();
    void refuse(unsigned status, std::string dsn, std::string reason, std::string_view log_text);
    void check_size();
    std::int64_t position() const { return taken_ + static_cast<std::int64_t>(out_.size()); }
    bool has(unsigned flag) const { return (flags_ & flag) != 0; }
    bool rewrites_headers() const;

    AssemblyPolicy& policy_;
    const CleanupParams& params_;
    std::string queue_id_;
    unsigned flags_;
    WallTime now_;
    WallTime arrival_;

    Stage stage_ = Stage::envelope;
    std::string rest_; // the start of a record whose end has not come yet
    std::string out_;
    std::int64_t taken_ = 0;
    MessageSizes sizes_;
    ipc::CleanupResult result_;

    std::string head_; // records in front of the sender
    std::string tail_; // and behind it, up to the recipients
    bool has_sender_ = false;
    bool has_context_ = false;
    int attributes_ = 0;
    std::string sender_;
    std::string full_name_;
    std::string encoding_;
    std::string envelope_id_;
    unsigned ret_flags_ = 0;
    Group group_; // being collected
    std::vector<Group> groups_;
    std::size_t received_groups_ = 0;
    std::unordered_set<std::string> seen_;
    std::unordered_set<std::string> copied_;
    std::vector<Written> written_;
    std::string extracted_; // records of the extracted segment in front of its recipients

    std::unique_ptr<ContentInspector> inspector_; // null: no checks
    std::optional<MimeScanner> scanner_;          // without checks, where parts can be nested
    std::string content_type_;                    // values of the message's own headers
    std::string transfer_encoding_;
    std::string facts_;          // envelope records, for log lines and milters
    std::string last_recipient_; // likewise
    bool keeps_facts_ = false;
    bool is_editable_ = false;
    bool passes_ = false;
    bool has_bad_characters_ = false;
    std::string filter_;                   // FILTER
    std::string redirect_;                 // REDIRECT
    std::vector<std::string> late_copies_; // BCC
    EditPoints edit_points_;

    std::optional<IncomingHeader> header_;   // being collected
    std::optional<IncomingHeader> complete_; // to be looked at
    bool ends_headers_ = false;              // what follows is no header any more
    bool ends_content_ = false;              // nor is there a body
    std::string first_body_records_;         // the blank line, or text without one
    unsigned seen_kinds_ = 0;                // bit per HeaderKind
    bool seen_resent_ = false;
    int hops_ = 0;
    int deliveries_ = 0;
    bool open_line_ = false; // the body's last record was an L
};

} // namespace bulkhead
