/// A canister that gives the HTTP answers it was told to, with any certification: for tests of gateways, which do not trust
/// canisters. test/support/certifier.ts makes the answers.
import Blob "mo:core/Blob";
import CertifiedData "mo:core/CertifiedData";
import List "mo:core/List";
import Map "mo:core/Map";
import Nat8 "mo:core/Nat8";
import Runtime "mo:core/Runtime";
import Text "mo:core/Text";
import VarArray "mo:core/VarArray";

persistent actor Certifier {
  type Header = (Text, Text);
  type Request = { method : Text; url : Text; headers : [Header]; body : Blob };
  type Token = { name : Text; part : Nat };
  type Response = {
    status_code : Nat16;
    headers : [Header];
    body : Blob;
    upgrade : ?Bool;
    streaming_strategy : ?{ #Callback : { callback : shared query Token -> async Part; token : Token } };
  };
  type Part = { body : Blob; token : ?Token };
  type Answer = { status_code : Nat16; headers : [Header]; body : Blob; upgrade : ?Bool; parts : [Blob] };

  let answers = Map.empty<Text, Answer>();
  /// The request of the gateway's last update call.
  var updated : ?Request = null;

  public func certify(root : Blob) : async () { CertifiedData.set(root) };

  /// @param name the method, the URL and the significant headers, as `nameOf` joins them
  public func answer(name : Text, what : Answer) : async () {
    Map.add(answers, Text.compare, name, what);
  };

  public query func lastUpdate() : async ?Request { updated };

  public query func http_request(request : Request) : async Response {
    respond(nameOf(request));
  };

  public func http_request_update(request : Request) : async Response {
    updated := ?request;
    respond("UPDATE " # request.url);
  };

  public query func more(token : Token) : async Part {
    let ?{ parts } = Map.get(answers, Text.compare, token.name) else Runtime.trap("no such answer");
    { body = parts[token.part]; token = after(token.name, parts, token.part) };
  };

  func respond(name : Text) : Response {
    let ?{ status_code; headers; body; upgrade; parts } = Map.get(answers, Text.compare, name) else {
      Runtime.trap("no answer to " # name);
    };
    let streaming_strategy = if (parts.size() == 0) null else {
      ?#Callback({ callback = more; token = { name; part = 0 } });
    };
    { status_code; headers = withCertificate(headers); body; upgrade; streaming_strategy };
  };

  func after(name : Text, parts : [Blob], part : Nat) : ?Token {
    if (part + 1 < parts.size()) ?{ name; part = part + 1 } else null;
  };

  func nameOf({ method; url; headers } : Request) : Text {
    var name = method # " " # url;
    for ((header, value) in headers.values()) {
      if (header == "range" or header == "if-none-match") name #= " " # header # ": " # value;
    };
    name;
  };

  /// The certificate exists only during a query, so it is inserted here.
  func withCertificate(headers : [Header]) : [Header] {
    let result = List.empty<Header>();
    for ((name, value) in headers.values()) {
      List.add(result, (name, Text.replace(value, #text "CERTIFICATE", base64(certificate()))));
    };
    List.toArray(result);
  };

  func certificate() : Blob {
    switch (CertifiedData.getCertificate()) {
      case (?bytes) bytes;
      case null "";
    };
  };

  transient let digits : Blob = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

  func base64(bytes : Blob) : Text {
    let size = bytes.size();
    let blocks = (size + 2) / 3;
    let text = VarArray.repeat<Nat8>(61, 4 * blocks);
    var block = 0;
    while (block < blocks) {
      let at = func(i : Nat) : Nat = if (3 * block + i < size) Nat8.toNat(bytes[3 * block + i]) else 0;
      let bits = at(0) * 65_536 + at(1) * 256 + at(2);
      text[4 * block] := digits[bits / 262_144];
      text[4 * block + 1] := digits[bits / 4_096 % 64];
      if (3 * block + 1 < size) text[4 * block + 2] := digits[bits / 64 % 64];
      if (3 * block + 2 < size) text[4 * block + 3] := digits[bits % 64];
      block += 1;
    };
    let ?result = Text.decodeUtf8(Blob.fromVarArray(text)) else Runtime.trap("base64");
    result;
  };
};
