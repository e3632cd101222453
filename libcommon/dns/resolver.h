// Host names and mail exchangers, asked of the DNS without blocking: libunbound on
// our own loop, with its cache, validation and rules against forged answers.  The
// name servers are those of resolv.conf(5).  Nothing else uses libunbound.
#pragma once

#include "async/wait.h"
#include "base/result.h"
#include "dns/packet.h"
#include "dns/system_files.h"

#include <coroutine>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct ub_ctx;

namespace bulkhead::dns
{

enum class Status {
    found,
    not_found, // the name does not exist
    no_data,   // it exists, but has no record of this type
    temporary, // no usable answer: time-out, refusal, failure of the servers
    bogus,     // forged, or signed wrongly: not to be used, and not "absent" either
};

template <typename Record> struct Answer {
    Status status = Status::temporary;
    std::vector<Record> records; // not empty when found
    bool secure = false;         // validated with DNSSEC
    std::uint32_t ttl = 0;       // seconds that it counts, also "there is none"; 0: unknown
    std::string owner;           // of addresses: the name behind the aliases
};

struct ResolverOptions {
    std::string resolv_conf = "/etc/resolv.conf";
    std::string hosts = "/etc/hosts";
    std::string nsswitch_conf = "/etc/nsswitch.conf";
    std::string trust_anchor_file;     // root key for validation; empty: none is done
    std::optional<std::uint16_t> port; // of the name servers, for tests; else 53
};

// One question in flight; base of the awaiters below.
class Query
{
public:
    Query(class Resolver& resolver, std::string name, Type type);
    virtual ~Query();
    Query(const Query&) = delete;

    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> handle);

protected:
    Type type() const { return type_; }
    virtual bool parse(std::string_view packet) = 0; // false: malformed

    Status status_ = Status::temporary;
    bool secure_ = false;
    std::uint32_t ttl_ = 0;

private:
    friend struct QueryCallback;
    void answered(int code, std::string_view packet, int security);
    void expire();

    Resolver& resolver_;
    std::string name_;
    Type type_;
    int id_ = 0;
    bool answered_ = false;
    bool waiting_ = false;
    Timer timer_;
    std::coroutine_handle<> handle_;
};

template <typename Record> class RecordQuery final : public Query
{
public:
    using Query::Query;
    Answer<Record> await_resume()
    {
        Answer<Record> answer;
        answer.status = status_;
        answer.records = std::move(records_);
        answer.secure = secure_;
        answer.ttl = ttl_;
        answer.owner = std::move(owner_);
        if (answer.status == Status::found && answer.records.empty())
            answer.status = Status::no_data;
        return answer;
    }

private:
    bool parse(std::string_view packet) override;
    std::vector<Record> records_;
    std::string owner_;
};

class Resolver
{
public:
    // Reads the system's files: to be called before the jail, out of which they cannot be
    // seen.  A resolv.conf that is missing means a name server on this host.  The library,
    // which takes 1.5 MiB for itself, starts with the first question; with a trust anchor it
    // starts here, and Fault::io or config tells why it cannot.
    static Result<std::unique_ptr<Resolver>> open(const ResolverOptions& options = {});
    ~Resolver();
    Resolver(const Resolver&) = delete;

    // const auto answer = co_await resolver.mx(domain);  Each ends after the time that
    // resolv.conf allows, at the latest, as Status::temporary.
    RecordQuery<MxRecord> mx(std::string domain) { return {*this, std::move(domain), Type::mx}; }
    RecordQuery<SrvRecord> srv(std::string name) { return {*this, std::move(name), Type::srv}; }
    RecordQuery<SocketAddress> a(std::string name) { return {*this, std::move(name), Type::a}; }
    RecordQuery<TlsaRecord> tlsa(std::string name) { return {*this, std::move(name), Type::tlsa}; }
    RecordQuery<SocketAddress> aaaa(std::string name) { return {*this, std::move(name), Type::aaaa}; }

    RecordQuery<HostRecord> ptr(std::string name) { return {*this, std::move(name), Type::ptr}; }
    RecordQuery<HostRecord> ns(std::string name) { return {*this, std::move(name), Type::ns}; }
    RecordQuery<TextRecord> txt(std::string name) { return {*this, std::move(name), Type::txt}; }

    // There is a trust anchor: answers can be secure.
    bool validates() const { return !options_.trust_anchor_file.empty(); }

    // Domains that complete a short name, as resolv.conf has them; may be empty.
    const std::vector<std::string>& search_domains() const { return conf_.search; }

    // The part of the native lookup that this process does itself: the hosts file.
    const HostsFile& hosts() const { return hosts_; }

    // Whether the native lookup goes on to the DNS.
    bool native_uses_dns() const { return native_uses_dns_; }

private:
    friend class Query;
    explicit Resolver(ResolverOptions options) : options_(std::move(options)) {}
    bool is_started();
    Result<> start();
    Result<> warm_up();

    struct ContextEnd {
        void operator()(ub_ctx* context) const;
    };
    ResolverOptions options_;
    ResolvConf conf_;
    std::unique_ptr<ub_ctx, ContextEnd> context_; // null until the first question
    HostsFile hosts_;
    bool native_uses_dns_ = true;
    Milliseconds patience_{0};
};

} // namespace bulkhead::dns
