"""The row contract: what a valid row is, for every source of rows."""

from core.platform.rows.days import iso as iso
from core.platform.rows.faults import EXACT_LIMIT as EXACT_LIMIT
from core.platform.rows.faults import LARGEST as LARGEST
from core.platform.rows.faults import Fault as Fault
from core.platform.rows.faults import reason as reason
from core.platform.rows.faults import sentence as sentence
from core.platform.rows.keys import key_texts as key_texts
from core.platform.rows.rules import MISSING_MARKS as MISSING_MARKS
from core.platform.rows.rules import NO as NO
from core.platform.rows.rules import SPREADSHEET as SPREADSHEET
from core.platform.rows.rules import YES as YES
from core.platform.rows.rules import DateForm as DateForm
from core.platform.rows.rules import Rule as Rule
from core.platform.rows.rules import label_word as label_word
from core.platform.rows.rules import mark_word as mark_word
from core.platform.rows.rules import rule_of as rule_of
from core.platform.rows.values import Read as Read
from core.platform.rows.values import clean_cells as clean_cells
from core.platform.rows.values import clean_numbers as clean_numbers
from core.platform.rows.values import empty_rows as empty_rows
from core.platform.rows.values import key_text as key_text
from core.platform.rows.values import label_of as label_of
from core.platform.rows.values import missing as missing
from core.platform.rows.values import read as read
