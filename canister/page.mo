/// The page for people, at /.icfs/ and, if a tree has no index.html, at /. It is certified as a whole, so every change of its content
/// makes a new one.
import Nat "mo:core/Nat";
import Nat64 "mo:core/Nat64";
import Principal "mo:core/Principal";

import Channels "channels";
import Html "html";
import Listing "listing";

module {
  public type Release = {
    number : Nat64;
    /// The header's hash, in hexadecimal.
    hash : Text;
    /// Nanoseconds since 1970.
    publishedAt : Nat64;
    publisher : Principal;
    note : Text;
    files : Nat64;
    bytes : Nat64;
  };

  public type Held = {
    number : Nat64;
    publishedAt : Nat64;
    hash : Text;
    /// Whether it is below /.icfs/at/.
    isServed : Bool;
  };

  public type Shown = {
    canister : Principal;
    /// The newest release whose pages are ready, or the one whose pages will be the first; null when nothing has been published.
    release : ?Release;
    newest : Nat64;
    /// Whether any pages are ready.
    isReady : Bool;
    /// The newest held releases, newest first, and how many are held.
    held : [Held];
    heldInAll : Nat;
    channels : [Channels.Shown];
  };

  /// How many releases `Shown` needs.
  public let maxHeld : Nat = 20;

  /// What machines can boot from in the tree.
  public type Bootable = {
    /// boot.ipxe at its top.
    script : Bool;
    /// boot.efi at its top.
    image : Bool;
  };

  /// The page in HTML. @param root the first page of the tree's root
  public func render(shown : Shown, root : Listing.Page, bootable : Bootable) : Text {
    let id = Principal.toText(shown.canister);
    var html = "<p class=\"quiet\">icfs canister</p>\n<h1><code>" # id # "</code></h1>\n";
    switch (shown.release) {
      case null {
        html #= "<p>Nothing has been published here yet. Whoever may publish does it so:</p>\n" # command("icfs publish DIRECTORY " # id);
      };
      case (?release) {
        html #= "<p>A directory for machines to boot from, kept by a canister on the Internet Computer.</p>\n";
        html #= about(shown, release) # use(id, bootable);
        html #= "<h2>Files</h2>\n";
        if (shown.isReady) {
          html #= if (root.entries.size() == 0) "<p>This release has no files.</p>\n" else Listing.table("", root.entries);
          switch (root.behind) {
            case (?name) html #= "<p><a href=\"/.icfs/files/" # name # "\">More →</a></p>\n";
            case null {};
          };
        } else html #= "<p>They are being made ready: come back in a minute.</p>\n";
        html #= channels(id, shown.channels) # held(shown);
      };
    };
    html #= "<footer>A gateway of the Internet Computer has checked that the canister certified this page. Your browser checks the gateway, and no more. <code>icfs mount</code> and <code>icfs verify</code> trust neither, and check every byte themselves.</footer>\n";
    Html.document("icfs canister " # id, html);
  };

  func about({ newest } : Shown, { number; hash; publishedAt; publisher; note; files; bytes } : Release) : Text {
    var html = "<h2>Release " # Nat64.toText(number) # "</h2>\n";
    if (number < newest) html #= "<p>Release " # Nat64.toText(newest) # " is published, and will be here when its pages are ready. Mounts have it already.</p>\n";
    html #= "<dl>\n" # item("Published", time publishedAt);
    if (note != "") html #= item("Note", Html.lines(note));
    html # item("Content", counted(files, "file") # ", " # counted(bytes, "byte")) # item("Hash", "<code>" # hash # "</code>") # item("Publisher", "<code>" # Principal.toText(publisher) # "</code>") # "</dl>\n";
  };

  func item(name : Text, html : Text) : Text = "<dt>" # name # "<dd>" # html # "\n";

  func counted(number : Nat64, what : Text) : Text = Listing.grouped(Nat64.toNat(number)) # " " # what # (if (number == 1) "" else "s");

  func command(html : Text) : Text = "<pre><code>" # html # "</code></pre>\n";

  /// How to use it. NGINX stands for the cache, as in docs/HTTP.md: a certified page cannot depend on the request's host name.
  func use(id : Text, { script; image } : Bootable) : Text {
    let absent = func(name : Text) : Text = " This release has none: publish a tree with <code>" # name # "</code> at its top.";
    "<h2>Use it</h2>\n" #
    "<h3>Mount it</h3>\n<p>On the boot server. It follows new releases, and checks all that it serves.</p>\n" # command("icfs mount " # id # " /srv/tftp") #
    "<h3>Check it</h3>\n<p>The release as a whole; or a directory, against it.</p>\n" # command("icfs verify " # id # "\nicfs verify " # id # " DIRECTORY") #
    "<h3>Boot from it, with iPXE</h3>\n<p>Without a mount: NGINX is a web server at your site that leads here, and keeps what it has fetched. The script goes on with " #
    (if script "<a href=\"/.icfs/boot.ipxe\">boot.ipxe</a> of this release." else "<code>boot.ipxe</code> of the release." # absent("boot.ipxe")) # "</p>\n" #
    command("#!ipxe\ndhcp\nchain http://NGINX/.icfs/boot.ipxe") #
    "<h3>Boot from it, with UEFI HTTP Boot</h3>\n<p>The firmware loads one program, which has all in it: kernel, initrd and command line." #
    (if image "" else absent("boot.efi")) # "</p>\n" # command("http://NGINX/boot.efi");
  };

  func channels(id : Text, all : [Channels.Shown]) : Text {
    if (all.size() == 0) return "";
    var html = "<h2>Channels</h2>\n<p>Names for releases, which promoters move. A mount of <code>" # id # "@NAME</code> follows one.</p>\n" #
    "<div class=\"scroll\"><table class=\"channels\">\n<tr><th>Channel<th>Release<th>Since<th>Note\n";
    for ({ name; number; at; note } in all.vals()) {
      html #= "<tr><td>" # Html.escape name # "<td>" # Nat64.toText(number) # "<td>" # time(at) # "<td>" # Html.escape note # "\n";
    };
    html # "</table></div>\n";
  };

  func held({ held; heldInAll } : Shown) : Text {
    var html = "<h2>Releases that are held</h2>\n<p>Any of them can be mounted or verified, as <code>ID@NUMBER</code>. Those with an address are served here, below it.</p>\n" #
    "<div class=\"scroll\"><table class=\"releases\">\n<tr><th>Release<th>Published<th>Hash<th>Address\n";
    for ({ number; publishedAt; hash; isServed } in held.vals()) {
      let name = Nat64.toText(number);
      html #= "<tr><td>" # name # "<td>" # time(publishedAt) # "<td><code>" # hash # "</code><td>" # (if isServed "/.icfs/at/" # name # "/" else "") # "\n";
    };
    html #= "</table></div>\n";
    if (heldInAll > held.size()) html #= "<p class=\"quiet\">and " # Listing.grouped(heldInAll - held.size()) # " before these</p>\n";
    html;
  };

  /// Such as 2026-11-29 12:34:56 UTC.
  func time(nanoseconds : Nat64) : Text {
    let seconds = Nat64.toNat(nanoseconds / 1_000_000_000);
    // Days since 0000-03-01, in eras of 400 years.
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let day = days % 146_097;
    let year : Nat = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let ofYear : Nat = day - (365 * year + year / 4 - year / 100);
    let month = (5 * ofYear + 2) / 153;
    let ofMonth = ofYear - (153 * month + 2) / 5 + 1 : Nat;
    let civil = if (month < 10) month + 3 else month - 9 : Nat;
    let years = year + era * 400 + (if (civil <= 2) 1 else 0);
    let rest = seconds % 86_400;
    Nat.toText(years) # "-" # two(civil) # "-" # two(ofMonth) # " " # two(rest / 3_600) # ":" # two(rest / 60 % 60) # ":" # two(rest % 60) # " UTC";
  };

  func two(number : Nat) : Text = if (number < 10) "0" # Nat.toText(number) else Nat.toText(number);
};
