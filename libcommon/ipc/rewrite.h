// Asking trivial-rewrite: the canonical form of an address, and where mail for it
// goes.  Used by smtpd, cleanup and qmgr; answered by rewrite/.
#pragma once

#include "async/task.h"
#include "ipc/channel.h"

#include <memory>
#include <string>
#include <unordered_map>

namespace bulkhead::ipc
{

enum class RewriteContext { local, remote };

// Which class of domain a recipient belongs to (feature-map.md, resolve order).
enum class AddressClass : std::uint8_t { local, virtual_alias, virtual_mailbox, relay, other, error };

struct Resolved {
    std::string transport; // "smtp"
    std::string nexthop;   // "[mail.example.test]:25", may be empty
    std::string recipient; // internal form
    AddressClass address_class = AddressClass::other;
};

struct RewriteRequest {
    RewriteContext context = RewriteContext::local;
    std::string address; // internal form
};
struct ResolveRequest {
    std::string sender;  // internal form, empty for the null sender
    std::string address; // internal form
    bool probe = false;  // for a message of verify: address_verify_..._transport
};

Message encode(const RewriteRequest& request);
Message encode(const ResolveRequest& request);
// by_rules: see RewriteClient::know_rules().
Message encode(const Resolved& answer, bool by_rules = false);
Message encode_rewritten(std::string_view address);
Result<RewriteRequest> decode_rewrite(const Message& message);
Result<ResolveRequest> decode_resolve(const Message& message);

// Answers without a worker: `bulkhead route` asks a system that may be stopped.
class RewriteSource
{
public:
    virtual ~RewriteSource() = default;
    virtual Result<std::string> rewrite(RewriteContext context, std::string_view address) = 0;
    virtual Result<Resolved> resolve(std::string_view sender, std::string_view address) = 0;
};

// Answers are kept for a moment (answer_life): one message asks the same more than
// once, and a burst of messages asks it over and over.
class RewriteClient
{
public:
    explicit RewriteClient(const std::string& service = "private/rewrite");

    // The source outlives the client.
    explicit RewriteClient(RewriteSource& source) : source_(&source), service_("") {}

    // What the service answers from, if it says that it answers by parameters alone: with them here,
    // its first answer spares all other questions.  Probes are asked all the same.
    void know_rules(std::unique_ptr<RewriteSource> rules) { rules_ = std::move(rules); }

    // Fault::broken when the service cannot answer now: a temporary failure.
    Task<Result<std::string>> rewrite(RewriteContext context, std::string address);
    Task<Result<Resolved>> resolve(std::string sender, std::string address, bool probe = false);

private:
    struct Kept {
        Message answer;
        SteadyTime until;
    };
    Task<Result<Message>> ask(Message request);
    const Message* known(const std::string& key) const;
    void keep(std::string key, const Message& answer);

    RewriteSource* source_ = nullptr; // instead of the service
    std::unique_ptr<RewriteSource> rules_;
    Service service_;
    using Answers = std::unordered_map<std::string, Kept>;
    Answers recent_;
    Answers earlier_; // what was recent before: mail to many recipients asks for each of them once
};

} // namespace bulkhead::ipc
