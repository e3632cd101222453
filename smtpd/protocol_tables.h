// The tables and lists that the dialogue itself asks; those of restrictions are Policy's.
// Opened before the jail, shared by all sessions of the worker.
#pragma once

#include "params.h"
#include "peer.h"

#include "async/task.h"
#include "table/domain_list.h"
#include "table/table.h"

#include <string>

namespace bulkhead
{

// A list of clients, by names and addresses.
class ClientList
{
public:
    static Result<ClientList> open(const Config& config, const Param<std::string>& param,
                                   bool with_subdomains = false);

    // False also when a table of the list is broken: nobody gets a right by an accident.
    Task<bool> contains(const Peer& client) const;
    bool empty() const { return list_.empty(); }
    bool is_stale() const { return list_.is_stale(); }

private:
    MatchList list_;
};

struct ProtocolTables {
    // The error names place, parameter and reason.
    static Result<ProtocolTables> open(const Config& config, const SmtpdParams& params);
    bool is_stale() const;

    MatchList forbidden_commands;
    MatchList noop_commands;
    ClientList xclient_hosts;
    ClientList xforward_hosts;
    ClientList verp_clients;
    ClientList upstream_proxies; // clients that may begin with a PROXY header
    ClientList debug_peers;      // clients whose dialogue the log shows

    // Looking up does not change what a table says, though it may move inside a file.
    mutable TableList discarded_keywords; // by client address
    mutable TableList command_filter;     // by command line
    mutable TableList reject_footers;     // by reply
};

} // namespace bulkhead
