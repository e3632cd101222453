// What all sessions of postscreen share; outlives them.
#pragma once

#include "access_list.h"
#include "candidate.h"
#include "params.h"
#include "score.h"
#include "screen_cache.h"

#include "async/scope.h"
#include "dns/resolver.h"
#include "smtp/expansion_filter.h"
#include "table/domain_list.h"
#include "table/table.h"
#include "tls/context.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bulkhead
{

struct ScreenService {
    explicit ScreenService(const PostscreenParams& p) : params(p) {}

    const PostscreenParams& params;
    std::string myhostname;

    Tests enabled;
    Action denylist = Action::ignore;
    Action pregreet = Action::ignore;
    Action dnsbl = Action::ignore;
    Action pipelining = Action::ignore;
    Action non_smtp = Action::ignore;
    Action bare_newline = Action::ignore;

    AccessList access;
    MatchList allowlist_interfaces;
    MatchList forbidden_commands;
    mutable TableList command_filter;
    mutable TableList discarded_keywords;
    mutable TableList footers;
    mutable TableList dnsbl_replies;
    ExpansionFilter expansion;
    std::string footer; // not expanded
    std::vector<DnsSite> sites;
    std::vector<std::string> domains; // of the sites
    std::unique_ptr<dns::Resolver> resolver;
    std::unique_ptr<ScreenCache> cache;
    std::unique_ptr<tls::ServerContext> tls; // null: TLS is not offered
    bool must_encrypt = false;               // no mail without TLS

    // Under stress: other defaults are in use for clients that come now.
    struct Pace {
        Seconds greet_wait{0};
        Seconds command_time{0};
    };
    Pace usual;
    Pace hurried;
    const Pace& pace() const { return stressed ? hurried : usual; }

    // What goes on now.
    bool stressed = false;
    std::map<std::string, int, std::less<>> clients; // connections by address
    int testing = 0;                                 // clients under test
    int passing = 0;                                 // clients that wait for smtpd
    std::size_t open_questions = 0;                  // to DNS lists: they may outlive who has asked
    Scope lookups;                                   // those
    std::function<void()> question_answered;         // may be empty

    bool is_stale() const;

    // The number of clients under test has changed.
    void notice_stress();
};

// Adds the footer to a reply that refuses.
Task<> add_footer(const ScreenService* service, const Candidate* candidate, Reply* reply);

} // namespace bulkhead
