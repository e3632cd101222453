#include "tls/files.h"

#include "base/text.h"
#include "os/files.h"

#include <openssl/crypto.h>
#include <openssl/x509.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include <fmt/format.h>

namespace bulkhead::tls
{

namespace
{

constexpr std::size_t key_file_limit = 1 << 20;
constexpr std::size_t authority_limit = 16 << 20;
constexpr std::size_t folder_limit = 4096; // files of a CA folder

// "5ed36f99.0"
bool is_hashed_name(std::string_view name)
{
    const auto is_hex = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); };
    return name.size() >= 10 && name[8] == '.' && std::all_of(name.begin(), name.begin() + 8, is_hex) &&
           std::all_of(name.begin() + 9, name.end(), is_digit);
}

bool is_given(const KeyFiles::Pair& pair)
{
    return !pair.certificate.empty() && pair.certificate != "none";
}

} // namespace

KeyChain::~KeyChain()
{
    OPENSSL_cleanse(keys.data(), keys.size());
}

std::vector<std::string> KeyFiles::paths() const
{
    if (!chain_files.empty())
        return chain_files;
    std::vector<std::string> all;
    for (const Pair& pair : pairs) {
        if (!is_given(pair))
            continue;
        all.push_back(pair.certificate);
        if (pair.key != pair.certificate)
            all.push_back(pair.key);
    }
    return all;
}

Result<std::vector<KeyChain>> read_key_files(const KeyFiles& files)
{
    std::vector<KeyChain> all;
    for (const std::string& path : files.chain_files) {
        KeyChain chain;
        chain.label = path;
        TRY(chain.keys, read_file(path, key_file_limit));
        all.push_back(std::move(chain));
    }
    if (!all.empty())
        return all;
    for (const KeyFiles::Pair& pair : files.pairs) {
        if (!is_given(pair))
            continue;
        KeyChain chain;
        chain.label = pair.certificate == pair.key ? pair.key : pair.certificate + ", " + pair.key;
        TRY(chain.chains, read_file(pair.certificate, key_file_limit));
        TRY(chain.keys, read_file(pair.key, key_file_limit));
        all.push_back(std::move(chain));
    }
    return all;
}

Result<std::string> read_authorities(const std::string& file, const std::string& folder)
{
    std::string text;
    if (!file.empty()) {
        TRY(text, read_file(file, authority_limit));
        text += '\n';
    }
    if (folder.empty())
        return text;
    std::error_code fault;
    std::set<std::filesystem::path> names; // several hashes may name one file
    for (const auto& entry : std::filesystem::directory_iterator(folder, fault)) {
        if (names.size() >= folder_limit)
            break;
        if (!is_hashed_name(entry.path().filename().string()))
            continue;
        std::error_code broken_link;
        const auto target = std::filesystem::canonical(entry.path(), broken_link);
        if (!broken_link)
            names.insert(target);
    }
    if (fault)
        return Error(Fault::config, fmt::format("open {}: {}", folder, fault.message()), fault.value());
    for (const auto& name : names) {
        TRY(const std::string one, read_file(name.string(), authority_limit));
        if (text.size() + one.size() > authority_limit)
            return Error(Fault::limit, fmt::format("{}: too many authorities", folder));
        text += one + '\n';
    }
    return text;
}

std::string default_authority_folder()
{
    return ::X509_get_default_cert_dir();
}

} // namespace bulkhead::tls
