// The nouns that the pages share with node and hub (edge/model/records.py, fold.py), as objects.

export type Colour = "red" | "yellow" | "green" | "not_triaged";
export interface Age { value: number; unit: "days" | "weeks" | "months" | "years" }
export interface Person {
  name: string; gender: string; village: string; age: Age | null; birth_date: string; relative_name: string;
  mobile: string; mobile_owner: string; abha_number: string; abha_address: string; language: string;
}
export interface Patient {
  patient_id: string; local_id: string; person: Person; registered_ms: number; amended: number; last_visit_ms?: number;
  open_visit_id?: string; open_token?: string;
}
export interface Complaint { code: string; text: string; duration: number; duration_unit: string; severity: number }
export interface History {
  conditions: string[]; medicines: string; notes: string; pregnant: boolean | null; weeks_pregnant: number | null;
  post_partum: boolean | null; lmp_date: string;
}
export interface Allergies { none_known: boolean; items: string[] }
export interface Reading {
  vital: string; value: number; method: string; device: string; serial: string; quality: string; measured_ms: number;
  confirmed: boolean; source?: { driver: string; frame: string; device_time: string } | null;
}
export interface DeviceNow {
  device_id: string; model: string; title: string; vitals: string[]; path: string; present: boolean; configured: boolean; state: string;
}
export interface DeviceValue { vital: string; value: number }
export interface MeasurementNow {
  measurement_id: string; device_id: string; visit_id: string; title: string; vitals: string[]; state: string; values: DeviceValue[];
  result: { values: DeviceValue[]; quality: "good" | "doubtful"; device_time: string; age_s: number | null } | null;
}
export interface Vitals { readings: Reading[]; avpu: string; oxygen: boolean | null; not_done: string[] }
export interface TriageResult { colour: Colour; reasons: string[]; missing: string[]; news2: number | null }
export interface Consent { purpose: string; given: boolean; method: string; language: string; at_ms: number; by: string; guardian_name: string }
export interface PrescriptionState {
  prescription_id: string; signed_ms: number; stored_ms: number; printed_ms: number; copies: number;
}
export interface MediaItem {
  blob_id: string; purpose: string; media_type: string; size_bytes: number; chunks: number; width_px: number; height_px: number;
  duration_ms: number; preview_id: string; caption: string; at_ms: number; by: string; removed_ms: number; seen_ms: number;
  drawn?: { at_ms: number; by: string; doctor: boolean; marks: { mark_id: string; kind: "line" | "ring" | "arrow"; points: number[] }[] }[];
}

export interface Visit {
  visit_id: string; patient_id: string; opened_ms: number; opened_by: string; state: string; token: string;
  queued_ms: number; consents: Consent[]; complaints: Complaint[]; complaint_notes: string; history: History | null;
  allergies: Allergies | null; vitals: { at_ms: number; by: string; vitals: Vitals }[]; signs_present: string[];
  signs_absent: string[]; triage: TriageResult; staff_colour: Colour | null; doctor_id: string; doctor_name: string; speciality?: string; expected?: Expected | null;
  seen_ms: number; notes: string[]; handed_out?: { at_ms: number; at_count: number; by: string; prescription_id: string; drug_id: string; units: number }[]; in_person?: { doctor_id: string; held_on: string; said_by: string }[]; calls: { ended_ms: number; video_s: number; audio_s: number }[]; stamps?: Record<string, number>; thirds?: Pick<Third, "third_id" | "call_id" | "name" | "registration" | "qualification" | "left_ms">[]; prescriptions: PrescriptionState[]; closed_ms: number;
  explained: boolean; media: MediaItem[];
  referrals?: { at_ms: number; at_count: number; by: string; to: string; urgency: string; reason: string; way: string; given: string }[];
  ending?: { at_ms: number; by: string; ending: string; note: string } | null;
  answers?: { answer_id: string; doctor_id: string; at_ms: number; duration_ms: number; size_bytes: number; parts: number }[];
}
export interface Medicine {
  drug_id: string; generic: string; form: string; strength: string; dose: string; route: string; frequency: string;
  duration_days: number; food: string; quantity: string; instructions: string; list_letter: string; approved: boolean;
}
/** Whether a prescription stands, and which later record says otherwise. */
export interface Stands {
  prescription_id: string; standing: "valid" | "replaced" | "cancelled"; by: string; by_ms: number;
}
export interface Prescription {
  replaces?: string; replaces_ms: number; cancels?: boolean; reason?: string;
  prescription_id: string; token: string; signed_ms: number; doctor_name: string; qualification: string;
  registration: string; patient_name: string; patient_age: string; patient_sex: string; diagnosis: string;
  diagnosis_code: string; provisional: boolean; medicines: Medicine[]; advice: string; tests: string[];
  referral: { to: string; urgency: string; reason: string } | null; follow_up_date: string; mode: string; demo: boolean;
}
export interface Link {
  online: boolean; last_ack_age_s: number | null; bearer: string; rtt_ms: number | null; rate_bps: number | null;
  backlog_items: number; backlog_bytes: number; today_bytes: number; cap_bytes: number | null;
  waits: "" | "cap" | "hours" | "call"; waiting_items: number; waiting_bytes: number;
}
export interface NodeStatus {
  training?: boolean;
  own_camera?: boolean;
  unreadable?: boolean;
  doubted_ms?: number;
  node_id: string; site_code: string; site_name: string; demo: boolean; locked: boolean; language: string;
  time_ms: number; time_trusted: boolean; link: Link; tablets: number; version: string; sms_fitted: boolean; revoked?: string; day_slots?: string[]; lost_slots?: string[];
}
export interface Staff { staff_id: string; name: string; name_hi: string; role: string; has_pin: boolean }
export interface Expected { state: string; low_min: number; high_min: number; opens_ms: number; at_ms: number }
/** A specialist in a call of a visit; `left_ms` is 0 while she is in it. */
export interface Third {
  third_id: string; call_id: string; doctor_id: string; specialist_id: string; name: string; registration: string; qualification: string;
  agreed: string; joined_ms: number; left_ms: number; because: string; video_s: number; audio_s: number; concealed_s: number;
}
export interface QueueVisit { visit_id: string; state: string; token: string; colour: Colour; doctor_id: string; doctor_name: string; expected?: Expected | null; speciality?: string; given?: boolean }
export interface QueueItem {
  visit: QueueVisit; patient_name: string; patient_age: string; patient_sex: string; place: number; wait_s: number; sync: string; sync_ms: number; sms: string;
}
export interface Finding { check: string; grade: "ok" | "warn" | "fail"; value: string; do_hi: string; do_en: string }
export interface SmsHealth {
  up: boolean; trouble: string; waiting: number; last_hour: number; last_day: number; per_hour: number; per_day: number;
  cost_paise: number; sim_used: number; sim_slots: number; foreign: number; opens: number;
}
export interface PanelReport {
  fitted: boolean; faults: string[];
  health: { state: string; app_version: number; battery_mv: number; input_mv: number; mains: boolean } | null;
}
/** A picture of the node's own camera: WebP in base64. */
export interface CameraStill { taken_ms: number; width: number; height: number; webp: string }
export interface NodeReport {
  site_name: string; version: string; running: boolean; locked: boolean; up_s: number; time_ms: number; time_trusted: boolean;
  findings: Finding[]; link: Link; bearers: { name: string; in_use: boolean; up: boolean; why: string; moves: number }[];
  backlog: { cls: number; items: number; size_bytes: number; oldest_s: number | null }[]; unsealed: number | null;
  quarantined: number | null; refused: { seq: number; reason: string }[]; reseals: number; reseals_waiting: number;
  later: { kind: number; version: number; entries: number }[];
  receipts: { at_ms: number; acknowledged: number; reseal: number; quarantined: number }[]; 
  sticks: { copied: number; copied_bytes: number; receipts: number; acknowledged: number; reseal: number; quarantined: number; downs: number; updates: number };
  updates: { name: string; version: string; size_bytes: number; sha256: string }[];
  update: { name: string; version: string; state: string; done_bytes: number; size_bytes: number; code: string; why: string; waits: string } | null;
  revoked: { number: number; made_ms: number; revoked: boolean; replaced: boolean; doctors_closed: number; staff_removed: number } | null;
  usage: { name: string; up_bytes: number; down_bytes: number; cap_bytes: number | null }[]; bulk_hours: string;
  photos: { items: number; size_bytes: number; left_bytes: number; oldest_s: number | null } | null;
  sms: SmsHealth | null; panel: PanelReport; devices: DeviceNow[]; disk_free_mb: number; records_mb: number; notices: { code: string; at_ms: number }[];
  log: { time_ms: number; level: string; logger: string; event: string; fields: [string, string][] }[];
}
