/// The media type of a file, by its name, as in web servers.
import Blob "mo:core/Blob";
import List "mo:core/List";
import Text "mo:core/Text";

module {
  /// Number 0 makes a browser save the file, and firmware does not mind it; number 1 is a directory's index.
  public let types : [Text] = [
    "application/octet-stream",
    "text/html; charset=utf-8",
    "text/plain; charset=utf-8",
    "text/css; charset=utf-8",
    "text/javascript; charset=utf-8",
    "application/json",
    "application/yaml",
    "text/xml; charset=utf-8",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/vnd.microsoft.icon",
    "application/pdf",
    "font/woff2",
    "application/wasm",
    "application/gzip",
    "application/x-xz",
    "application/zstd",
    "application/zip",
    "application/vnd.efi.iso",
    "application/vnd.efi.img",
    "application/efi",
  ];

  /// The part after a name's last dot, and the type's number.
  public let endings : [(Text, Nat)] = [
    ("html", 1),
    ("htm", 1),
    ("txt", 2),
    ("cfg", 2),
    ("conf", 2),
    ("ipxe", 2),
    ("md", 2),
    ("css", 3),
    ("js", 4),
    ("json", 5),
    ("yaml", 6),
    ("yml", 6),
    ("xml", 7),
    ("svg", 8),
    ("png", 9),
    ("jpg", 10),
    ("jpeg", 10),
    ("gif", 11),
    ("webp", 12),
    ("ico", 13),
    ("pdf", 14),
    ("woff2", 15),
    ("wasm", 16),
    ("gz", 17),
    ("xz", 18),
    ("zst", 19),
    ("zip", 20),
    ("iso", 21),
    ("img", 22),
    ("efi", 23),
  ];

  let maxEnding = 5;

  /// The number of a file's type. @param name its own, without its directory; a directory's index has the empty one
  public func of(name : Blob) : Nat {
    if (name.size() == 0) return 1;
    var at = name.size();
    let ending = List.empty<Nat8>();
    label looking loop {
      if (at == 0 or name.size() - at > maxEnding) return 0;
      at -= 1;
      if (name[at] == 0x2e) break looking;
    };
    at += 1;
    while (at < name.size()) {
      let byte = name[at];
      List.add(ending, if (byte >= 0x41 and byte <= 0x5a) byte + 0x20 else byte);
      at += 1;
    };
    let ?text = Text.decodeUtf8(Blob.fromArray(List.toArray(ending))) else return 0;
    for ((known, number) in endings.vals()) if (known == text) return number;
    0;
  };
};
