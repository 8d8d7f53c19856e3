"""What a job refuses before torch and Ray are imported: words, pictures, concept files, bases.

Nothing here decides alone: all that passes is checked again by what does the work.
"""
