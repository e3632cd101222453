#include "tls/tickets.h"

#include "base/unique_fd.h"
#include "log/log.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace bulkhead::tls
{

TicketKeys::TicketKeys(std::string path, std::string service, Seconds period)
    : path_(std::move(path)), service_(std::move(service)), period_(std::max<std::int64_t>(1, period.count()))
{
}

TicketKeys::~TicketKeys()
{
    OPENSSL_cleanse(keys_.data(), keys_.size() * sizeof(TicketKey));
    OPENSSL_cleanse(own_.data(), own_.size() * sizeof(Secret));
}

bool TicketKeys::is_fresh(std::int64_t born, std::int64_t now) const
{
    return born <= now && now - born < period_;
}

bool TicketKeys::is_good(std::int64_t born, std::int64_t now) const
{
    return born <= now && now - born < 2 * period_;
}

TicketKey TicketKeys::derive(const Secret& secret) const
{
    TicketKey key;
    key.born = secret.born;
    const auto part = [&](std::string_view purpose, unsigned char* to, std::size_t size) {
        const std::string text = fmt::format("{} of tickets of {}", purpose, service_);
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned length = 0;
        ::HMAC(::EVP_sha256(), secret.bytes.data(), static_cast<int>(secret.bytes.size()),
               reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &length);
        std::memcpy(to, digest, std::min<std::size_t>(size, length));
        OPENSSL_cleanse(digest, sizeof digest);
    };
    part("name", key.name.data(), key.name.size());
    part("cipher key", key.cipher.data(), key.cipher.size());
    part("mac key", key.mac.data(), key.mac.size());
    return key;
}

// Drops what is too old, puts a new secret in front when the first is not fresh; true when
// something has changed.
bool TicketKeys::renew(std::vector<Secret>& secrets, std::int64_t now) const
{
    std::erase_if(secrets, [&](const Secret& secret) { return !is_good(secret.born, now); });
    if (!secrets.empty() && is_fresh(secrets.front().born, now))
        return false;
    Secret fresh;
    fresh.born = now;
    if (::RAND_priv_bytes(fresh.bytes.data(), static_cast<int>(fresh.bytes.size())) != 1)
        return false;
    secrets.insert(secrets.begin(), fresh);
    if (secrets.size() > key_limit)
        secrets.resize(key_limit);
    return true;
}

// The file holds secrets, newest first: 8 bytes of time and 32 of secret each.
bool TicketKeys::exchange(std::vector<Secret>& secrets, std::int64_t now, bool may_add)
{
    const UniqueFd file(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    struct stat status{};
    if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || (status.st_mode & 077) != 0)
        return false;
    if (::flock(file.get(), LOCK_EX) != 0)
        return false;
    constexpr std::size_t entry = sizeof(std::int64_t) + secret_size;
    unsigned char bytes[entry * key_limit];
    const ssize_t size = ::pread(file.get(), bytes, sizeof bytes, 0);
    for (std::size_t at = 0; size > 0 && at + entry <= static_cast<std::size_t>(size); at += entry) {
        Secret secret;
        std::memcpy(&secret.born, bytes + at, sizeof secret.born);
        std::memcpy(secret.bytes.data(), bytes + at + sizeof secret.born, secret_size);
        secrets.push_back(secret);
    }
    bool written = true;
    if (may_add && renew(secrets, now)) {
        for (std::size_t i = 0; i < secrets.size(); ++i) {
            std::memcpy(bytes + i * entry, &secrets[i].born, sizeof secrets[i].born);
            std::memcpy(bytes + i * entry + sizeof secrets[i].born, secrets[i].bytes.data(), secret_size);
        }
        const std::size_t total = secrets.size() * entry;
        written = ::pwrite(file.get(), bytes, total, 0) == static_cast<ssize_t>(total) &&
                  ::ftruncate(file.get(), static_cast<off_t>(total)) == 0;
    }
    OPENSSL_cleanse(bytes, sizeof bytes);
    return written;
}

void TicketKeys::refresh(std::int64_t now, bool may_add)
{
    std::vector<Secret> secrets;
    if (path_.empty() || file_is_bad_ || !exchange(secrets, now, may_add)) {
        if (!path_.empty() && !file_is_bad_)
            log::warn(fmt::format("{}: not usable: TLS session tickets are good in one process only", path_));
        file_is_bad_ = true;
        renew(own_, now);
        secrets = own_;
    }
    keys_.clear();
    for (const Secret& secret : secrets)
        if (is_good(secret.born, now))
            keys_.push_back(derive(secret));
    OPENSSL_cleanse(secrets.data(), secrets.size() * sizeof(Secret));
}

const TicketKey* TicketKeys::current(std::int64_t now)
{
    if (keys_.empty() || !is_fresh(keys_.front().born, now))
        refresh(now, true);
    return keys_.empty() ? nullptr : &keys_.front();
}

const TicketKey* TicketKeys::find(const unsigned char* name, std::int64_t now)
{
    const auto search = [&]() -> const TicketKey* {
        for (const TicketKey& key : keys_)
            if (std::memcmp(key.name.data(), name, key.name.size()) == 0 && is_good(key.born, now))
                return &key;
        return nullptr;
    };
    if (const TicketKey* known = search())
        return known;
    if (looked_at_ == now) // whoever makes names up does not make us read files
        return nullptr;
    looked_at_ = now;
    refresh(now, true);
    return search();
}

} // namespace bulkhead::tls
