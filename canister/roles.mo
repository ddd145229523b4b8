/// Who may do what. Controllers own, and so does the principal that was named (or that installed) at the first
/// installation; owners grant roles.
import Map "mo:core/Map";
import Principal "mo:core/Principal";

module {
  public type Role = {
    /// May put, publish and roll back, and read.
    #publisher;
    /// May read a private canister.
    #reader;
  };

  public type Roles = {
    granted : Map.Map<Principal, Role>;
    /// Whether only those with a role may read.
    var isPrivate : Bool;
  };

  public func empty() : Roles = { granted = Map.empty(); var isPrivate = false };

  public func of({ granted } : Roles, who : Principal) : ?Role = Map.get(granted, Principal.compare, who);

  public func isOwner(owner : Principal, who : Principal) : Bool {
    who == owner or Principal.isController(who);
  };

  public func mayPublish(roles : Roles, owner : Principal, who : Principal) : Bool {
    isOwner(owner, who) or of(roles, who) == ?#publisher;
  };

  public func mayRead(roles : Roles, owner : Principal, who : Principal) : Bool {
    not roles.isPrivate or isOwner(owner, who) or of(roles, who) != null;
  };
};
