// Mail filters of one SMTP session: tells them of connection and commands, behind our own
// checks; lends the connections to cleanup for the content (docs/milters.md).
#pragma once

#include "access_subject.h"
#include "message_sink.h"
#include "verdict.h"

#include "milter/filter.h"
#include "table/table.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct SmtpdParams;

// What all sessions have in common; outlives them.
class MilterPolicy
{
public:
    // Fault::config names the parameter.  Null: there are no milters.
    static Result<std::unique_ptr<MilterPolicy>> open(const Config& config, const SmtpdParams& params);

    // smtpd_milters, or what smtpd_milter_maps says of the client.
    Task<Result<const std::vector<milter::Settings>*>> milters_for(std::string address);

    const milter::Macros& macros() const { return macros_; }
    const SmtpdParams& params() const { return params_; }
    bool is_stale() const { return maps_.is_stale(); }

private:
    explicit MilterPolicy(const SmtpdParams& params) : params_(params) {}

    const SmtpdParams& params_;
    std::vector<milter::Settings> usual_;
    TableList maps_;
    milter::Macros macros_;
    // Lists that the table has named, as they were when first needed.
    std::vector<std::pair<std::string, std::unique_ptr<std::vector<milter::Settings>>>> named_;
};

class SessionMilters
{
public:
    SessionMilters(MilterPolicy& policy, std::string myhostname)
        : policy_(policy), myhostname_(std::move(myhostname))
    {
    }

    bool empty() const { return filters_.empty(); }

    // Events; label is the client as log lines have it.  A refusal is logged.
    Task<Verdict> connect(const AccessSubject& about, std::string label);
    Task<Verdict> helo(const AccessSubject& about, std::string label);
    Task<Verdict> mail(const AccessSubject& about, std::string label);
    Task<Verdict> rcpt(const AccessSubject& about, std::string label);
    Task<Verdict> data(const AccessSubject& about, std::string label);
    Task<Verdict> unknown(const AccessSubject& about, std::string label, std::string line);

    // The message goes to cleanup, with the connections that still want it.
    void lend_to(MessageSink& sink);
    // What cleanup says of them.
    void take_back(std::string_view states);

    // The message is over, whatever became of it.
    void end_message();

private:
    using Event = Task<milter::Answer> (*)(milter::Filter& filter, const std::string& argument,
                                           const milter::MacroValue& value);
    Task<Verdict> tell(const AccessSubject& about, std::string label, Event event, std::string argument);
    Verdict verdict(const milter::Answer& answer, const AccessSubject& about, std::string_view label);
    milter::MacroValue macros_of(const AccessSubject& about) const;

    MilterPolicy& policy_;
    std::string myhostname_;
    std::vector<std::unique_ptr<milter::Filter>> filters_;
    std::vector<milter::Filter*> lent_;
};

} // namespace bulkhead
