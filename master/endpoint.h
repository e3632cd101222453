// Where a service listens: the endpoints that its line in master.cf asks for, and
// the sockets on them.  An endpoint has a key, so that a reload finds again what is
// open already, also when the service has another name now.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "config/config.h"
#include "config/master_cf.h"

#include <sys/socket.h>
#include <sys/types.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bulkhead
{

struct FolderOwner {
    uid_t user = 0;
    gid_t group = 0;
};

struct Endpoint {
    std::string key;  // "inet 127.0.0.1:25" or "unix /var/spool/x/public/cleanup"
    std::string path; // UNIX sockets
    bool datagram = false;
    sockaddr_storage address{}; // inet
    socklen_t length = 0;
    int window = 0; // of TCP, bytes; 0: the system's

    // For siblings only: nobody connects while all of them sleep.
    bool is_inner = false;

    // UNIX sockets elsewhere than in the environment's own folders (front_door.h): whose that folder
    // and the socket are.  The folder is made, closed to all others, when it is not there.
    std::optional<FolderOwner> folder_owner{};
};

// An inet service without a host listens on every address of inet_interfaces, of
// the families of inet_protocols; all others have one UNIX socket in the private or the public
// folder (a fifo line too: who writes to it does not see the difference).
// Errors name the place in master.cf or main.cf.
Result<std::vector<Endpoint>> plan_endpoints(const ServiceEntry& service, const Config& config);

// An open listening socket.  Its UNIX name goes away with it.
class Listener
{
public:
    // UNIX names are made as the owner of their folder: nothing there is touched with
    // the rights of root.
    static Result<Listener> open(const Endpoint& endpoint, uid_t owner, gid_t group);

    Listener(Listener&&) noexcept = default;
    ~Listener();

    int fd() const { return fd_.get(); }

    // False when somebody has removed or replaced the UNIX name: clients cannot reach us.
    bool is_reachable() const;

private:
    Listener(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

    UniqueFd fd_;
    std::string path_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

using ListenerMap = std::map<std::string, Listener>;

// What a reload does to the sockets, by key.
struct EndpointChange {
    std::set<std::string> opened;
    std::set<std::string> closed;
};
EndpointChange compare_endpoints(const std::set<std::string>& before, const std::set<std::string>& after);

} // namespace bulkhead
